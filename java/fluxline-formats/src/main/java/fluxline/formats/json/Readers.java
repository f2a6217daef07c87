package fluxline.formats.json;

import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.types.logical.ArrayType;
import org.apache.flink.table.types.logical.DecimalType;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.MapType;
import org.apache.flink.table.types.logical.RowType;
import org.apache.flink.table.types.logical.utils.LogicalTypeChecks;

import java.util.ArrayList;
import java.util.List;

/** Which reader serves which type. */
final class Readers {
    private Readers() {}

    /**
     * The reader of a type.
     *
     * @param separator what stands between date and time
     * @throws ValidationException JSON does not hold the type
     */
    static Reader of(LogicalType type, char separator) {
        switch (type.getTypeRoot()) {
            case TINYINT:
                return new NumberReaders.IntegerReader(type, Byte.SIZE);
            case SMALLINT:
                return new NumberReaders.IntegerReader(type, Short.SIZE);
            case INTEGER:
                return new NumberReaders.IntegerReader(type, Integer.SIZE);
            case BIGINT:
                return new NumberReaders.IntegerReader(type, Long.SIZE);
            case FLOAT:
                return new NumberReaders.ApproximateReader(type, true);
            case DOUBLE:
                return new NumberReaders.ApproximateReader(type, false);
            case DECIMAL:
                return new NumberReaders.DecimalReader((DecimalType) type);
            case BOOLEAN:
                return new TextReaders.BooleanReader(type);
            case CHAR:
            case VARCHAR:
                return new TextReaders.TextReader(type, LogicalTypeChecks.getLength(type));
            case BINARY:
            case VARBINARY:
                return new TextReaders.BytesReader(type, LogicalTypeChecks.getLength(type));
            case DATE:
            case TIME_WITHOUT_TIME_ZONE:
            case TIMESTAMP_WITHOUT_TIME_ZONE:
            case TIMESTAMP_WITH_LOCAL_TIME_ZONE:
                return new TemporalReader(type, separator);
            case ARRAY:
                ArrayType array = (ArrayType) type;
                return new NestedReaders.ArrayReader(array, of(array.getElementType(), separator));
            case MAP:
                return ofMap((MapType) type, separator);
            case ROW:
                return ofRow((RowType) type, separator);
            default:
                throw new ValidationException("The format '" + StrictJsonFormatFactory.IDENTIFIER + "' does not hold " + type.asSummaryString() + ".");
        }
    }

    /** The reader of a ROW, also of a record as a whole. */
    static NestedReaders.RowReader ofRow(RowType type, char separator) {
        List<Reader> readers = new ArrayList<>();
        for (LogicalType field : type.getChildren()) {
            readers.add(of(field, separator));
        }
        return new NestedReaders.RowReader(type, type.getFieldNames(), readers);
    }

    private static Reader ofMap(MapType type, char separator) {
        Reader key = of(type.getKeyType(), separator);
        if (!(key instanceof TextReaders.TextReader)) {
            throw new ValidationException("The keys of a JSON object are text, so they cannot be " + type.getKeyType().asSummaryString() + ".");
        }
        return new NestedReaders.MapReader(type, (TextReaders.TextReader) key, of(type.getValueType(), separator));
    }
}
