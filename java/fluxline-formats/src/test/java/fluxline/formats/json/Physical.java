package fluxline.formats.json;

import org.apache.flink.table.data.ArrayData;
import org.apache.flink.table.data.DecimalData;
import org.apache.flink.table.data.MapData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.TimestampData;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.RowType;
import org.apache.flink.table.types.logical.utils.LogicalTypeChecks;

import java.math.BigInteger;
import java.util.List;

/**
 * Values as the integers that stand for them, in JSON: a DECIMAL without its point, dates in days, timestamps in milli-, micro- or
 * nanoseconds by their precision, a TIME in milliseconds, FLOAT and DOUBLE as the bits of a double, bytes and texts in hexadecimal.
 */
final class Physical {
    private final RowType type;

    Physical(RowType type) {
        this.type = type;
    }

    String write(Object row) {
        StringBuilder text = new StringBuilder();
        writeRow(text, (RowData) row, type);
        return text.toString();
    }

    private static void writeRow(StringBuilder text, RowData row, LogicalType type) {
        List<LogicalType> types = type.getChildren();
        text.append('[');
        for (int place = 0; place < types.size(); place++) {
            text.append(place == 0 ? "" : ",");
            writeValue(text, RowData.createFieldGetter(types.get(place), place).getFieldOrNull(row), types.get(place));
        }
        text.append(']');
    }

    private static void writeItems(StringBuilder text, ArrayData items, LogicalType type) {
        ArrayData.ElementGetter getter = ArrayData.createElementGetter(type);
        text.append('[');
        for (int index = 0; index < items.size(); index++) {
            text.append(index == 0 ? "" : ",");
            writeValue(text, getter.getElementOrNull(items, index), type);
        }
        text.append(']');
    }

    private static void writeValue(StringBuilder text, Object value, LogicalType type) {
        if (value == null) {
            text.append("null");
            return;
        }
        switch (type.getTypeRoot()) {
            case FLOAT:
            case DOUBLE:
                text.append(Double.doubleToRawLongBits(((Number) value).doubleValue()));
                break;
            case DECIMAL:
                text.append(((DecimalData) value).toBigDecimal().unscaledValue());
                break;
            case CHAR:
            case VARCHAR:
                writeHex(text, value.toString().getBytes(java.nio.charset.StandardCharsets.UTF_8));
                break;
            case BINARY:
            case VARBINARY:
                writeHex(text, (byte[]) value);
                break;
            case TIMESTAMP_WITHOUT_TIME_ZONE:
            case TIMESTAMP_WITH_LOCAL_TIME_ZONE:
                text.append(count((TimestampData) value, LogicalTypeChecks.getPrecision(type)));
                break;
            case ARRAY:
                writeItems(text, (ArrayData) value, type.getChildren().get(0));
                break;
            case MAP:
                text.append('[');
                writeItems(text, ((MapData) value).keyArray(), type.getChildren().get(0));
                text.append(',');
                writeItems(text, ((MapData) value).valueArray(), type.getChildren().get(1));
                text.append(']');
                break;
            case ROW:
                writeRow(text, (RowData) value, type);
                break;
            default: // Integers, dates and times are numbers, Booleans are words.
                text.append(value);
        }
    }

    private static BigInteger count(TimestampData value, int precision) {
        BigInteger nanoseconds =
                BigInteger.valueOf(value.getMillisecond()).multiply(BigInteger.valueOf(1_000_000)).add(BigInteger.valueOf(value.getNanoOfMillisecond()));
        int digits = precision <= 3 ? 3 : precision <= 6 ? 6 : 9;
        BigInteger[] parts = nanoseconds.divideAndRemainder(BigInteger.TEN.pow(9 - digits));
        if (parts[1].signum() != 0) {
            throw new IllegalStateException("the digits behind the precision are not cut: " + value);
        }
        return parts[0];
    }

    private static void writeHex(StringBuilder text, byte[] bytes) {
        text.append('"');
        for (byte each : bytes) {
            text.append(Character.forDigit((each >> 4) & 15, 16)).append(Character.forDigit(each & 15, 16));
        }
        text.append('"');
    }
}
