package fluxline.formats.json;

import org.apache.flink.table.types.logical.RowType;
import org.apache.flink.table.types.logical.utils.LogicalTypeParser;

import java.io.BufferedInputStream;
import java.io.BufferedWriter;
import java.io.DataInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Judges the records of a file, without Flink around it.
 *
 * <pre>
 * input  := (letter, length of four bytes, bytes)*
 *           S = the ROW type of the records that follow, and a separator in front of it
 *           R = a record    N = a record without a value
 * output := one line for each record: the reason, a space and the detail, or the row as JSON
 * </pre>
 */
public final class Verdicts {
    private Verdicts() {}

    public static void main(String[] arguments) throws IOException {
        RecordReader reader = null;
        Physical physical = null;
        try (DataInputStream input = new DataInputStream(new BufferedInputStream(Files.newInputStream(Path.of(arguments[0]))));
                BufferedWriter output = Files.newBufferedWriter(Path.of(arguments[1]))) {
            for (int letter = input.read(); letter >= 0; letter = input.read()) {
                byte[] bytes = new byte[input.readInt()];
                input.readFully(bytes);
                if (letter == 'S') {
                    String text = new String(bytes, StandardCharsets.UTF_8);
                    RowType type = (RowType) LogicalTypeParser.parse(text.substring(1), Verdicts.class.getClassLoader());
                    reader = new RecordReader(type, text.charAt(0), type.getFieldCount());
                    physical = new Physical(type);
                    continue;
                }
                Object read = reader.read(letter == 'N' ? null : bytes);
                output.write(read instanceof Finding ? shown((Finding) read) : physical.write(read));
                output.write('\n');
            }
        }
    }

    private static String shown(Finding finding) {
        return finding.reason().text() + " " + finding.detail().replaceAll("\\R", " ");
    }
}
