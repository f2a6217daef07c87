package fluxline.formats.json;

import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.types.logical.RowType;
import org.apache.flink.table.types.logical.utils.LogicalTypeParser;

import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Decodes the records of a file and writes them again, without Flink around it.
 *
 * <pre>
 * input  := (letter, length of four bytes, bytes)*
 *           S = the ROW type of the records that follow, and a separator in front of it
 *           R = a record    D = the bits of a DOUBLE    F = those of a FLOAT
 * output := one line for each record or number: what is written of it, or nothing where the record is rejected
 * </pre>
 */
public final class Written {
    private Written() {}

    public static void main(String[] arguments) throws IOException {
        RecordReader reader = null;
        RowWriter writer = null;
        try (DataInputStream input = new DataInputStream(new BufferedInputStream(Files.newInputStream(Path.of(arguments[0]))));
                OutputStream output = new BufferedOutputStream(Files.newOutputStream(Path.of(arguments[1])))) {
            for (int letter = input.read(); letter >= 0; letter = input.read()) {
                byte[] bytes = new byte[input.readInt()];
                input.readFully(bytes);
                if (letter == 'S') {
                    String text = new String(bytes, StandardCharsets.UTF_8);
                    RowType type = (RowType) LogicalTypeParser.parse(text.substring(1), Written.class.getClassLoader());
                    reader = new RecordReader(type, text.charAt(0), type.getFieldCount());
                    writer = new RowWriter(type.getFieldNames(), type.getChildren());
                    continue;
                }
                output.write(letter == 'R' ? record(reader.read(bytes), writer) : number(letter, bytes));
                output.write('\n');
            }
        }
    }

    private static byte[] record(Object read, RowWriter writer) {
        return read instanceof Finding ? new byte[0] : writer.write(((GenericRowData) read)::getField);
    }

    private static byte[] number(int letter, byte[] bits) {
        ByteBuffer buffer = ByteBuffer.wrap(bits);
        return (letter == 'D' ? Numbers.text(buffer.getDouble()) : Numbers.text(buffer.getFloat())).getBytes(StandardCharsets.US_ASCII);
    }
}
