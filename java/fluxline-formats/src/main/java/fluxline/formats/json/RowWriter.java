package fluxline.formats.json;

import org.apache.flink.table.types.logical.LogicalType;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.function.IntFunction;

/** Writes an object with these members; the rules are those of `src/fluxline/formats/json/encode.py`, to the byte. */
final class RowWriter {
    private final byte[][] names; // With all that stands between the value before and this one.
    private final ValueWriter[] values;

    RowWriter(List<String> names, List<LogicalType> types) {
        this.names = new byte[names.size()][];
        this.values = new ValueWriter[names.size()];
        for (int place = 0; place < this.values.length; place++) {
            ByteArrayOutputStream start = new ByteArrayOutputStream();
            start.write(place == 0 ? '{' : ',');
            Texts.writeQuoted(start, names.get(place).getBytes(StandardCharsets.UTF_8));
            start.write(':');
            this.names[place] = start.toByteArray();
            this.values[place] = ValueWriter.of(types.get(place));
        }
    }

    /** The object whose values, in Flink's internal form, are found by their places. */
    byte[] write(IntFunction<Object> value) {
        ByteArrayOutputStream output = new ByteArrayOutputStream();
        write(output, value);
        return output.toByteArray();
    }

    void write(ByteArrayOutputStream output, IntFunction<Object> value) {
        for (int place = 0; place < values.length; place++) {
            output.writeBytes(names[place]);
            values[place].writeOrNull(output, value.apply(place));
        }
        if (values.length == 0) {
            output.write('{');
        }
        output.write('}');
    }
}
