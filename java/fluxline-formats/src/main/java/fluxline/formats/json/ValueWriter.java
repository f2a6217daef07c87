package fluxline.formats.json;

import org.apache.flink.table.data.ArrayData;
import org.apache.flink.table.data.DecimalData;
import org.apache.flink.table.data.MapData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.data.TimestampData;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.RowType;

import java.io.ByteArrayOutputStream;
import java.util.Base64;

/** Writes the values of one type. */
abstract class ValueWriter {
    private static final String NULL = "null";

    /** The writer of a type. */
    static ValueWriter of(LogicalType type) {
        switch (type.getTypeRoot()) {
            case BOOLEAN:
            case TINYINT:
            case SMALLINT:
            case INTEGER:
            case BIGINT:
                return plain((output, value) -> Texts.write(output, value.toString()));
            case FLOAT:
                return plain((output, value) -> Texts.write(output, Numbers.text((Float) value)));
            case DOUBLE:
                return plain((output, value) -> Texts.write(output, Numbers.text((Double) value)));
            case DECIMAL:
                return plain((output, value) -> Texts.write(output, ((DecimalData) value).toBigDecimal().toPlainString()));
            case CHAR:
            case VARCHAR:
                return plain((output, value) -> Texts.writeQuoted(output, ((StringData) value).toBytes()));
            case BINARY:
            case VARBINARY:
                return plain((output, value) -> Texts.writeInQuotes(output, Base64.getEncoder().encode((byte[]) value)));
            case DATE:
                return plain((output, value) -> Texts.writeInQuotes(output, Times.date((Integer) value)));
            case TIME_WITHOUT_TIME_ZONE:
                return plain((output, value) -> Texts.writeInQuotes(output, Times.time((Integer) value)));
            case TIMESTAMP_WITHOUT_TIME_ZONE:
                return plain((output, value) -> Texts.writeInQuotes(output, Times.timestamp((TimestampData) value)));
            case TIMESTAMP_WITH_LOCAL_TIME_ZONE:
                return plain((output, value) -> Texts.writeInQuotes(output, Times.timestamp((TimestampData) value) + "Z"));
            case ARRAY:
                return array(type.getChildren().get(0));
            case MAP:
                return map(type.getChildren().get(0), type.getChildren().get(1));
            case ROW:
                return row((RowType) type);
            default:
                throw new IllegalArgumentException("JSON does not hold " + type.asSummaryString() + ".");
        }
    }

    /** Write a value in Flink's internal form; it is not null. */
    abstract void write(ByteArrayOutputStream output, Object value);

    final void writeOrNull(ByteArrayOutputStream output, Object value) {
        if (value == null) {
            Texts.write(output, NULL);
        } else {
            write(output, value);
        }
    }

    private interface Plain {
        void write(ByteArrayOutputStream output, Object value);
    }

    private static ValueWriter plain(Plain written) {
        return new ValueWriter() {
            @Override
            void write(ByteArrayOutputStream output, Object value) {
                written.write(output, value);
            }
        };
    }

    private static ValueWriter array(LogicalType type) {
        ValueWriter item = of(type);
        ArrayData.ElementGetter getter = ArrayData.createElementGetter(type);
        return plain((output, value) -> {
            ArrayData items = (ArrayData) value;
            output.write('[');
            for (int index = 0; index < items.size(); index++) {
                if (index > 0) {
                    output.write(',');
                }
                item.writeOrNull(output, getter.getElementOrNull(items, index));
            }
            output.write(']');
        });
    }

    private static ValueWriter map(LogicalType keyType, LogicalType itemType) {
        ValueWriter key = of(keyType);
        ValueWriter item = of(itemType);
        ArrayData.ElementGetter keyGetter = ArrayData.createElementGetter(keyType);
        ArrayData.ElementGetter itemGetter = ArrayData.createElementGetter(itemType);
        return plain((output, value) -> {
            ArrayData keys = ((MapData) value).keyArray();
            ArrayData items = ((MapData) value).valueArray();
            output.write('{');
            for (int index = 0; index < keys.size(); index++) {
                if (index > 0) {
                    output.write(',');
                }
                Object name = keyGetter.getElementOrNull(keys, index);
                if (name == null) {
                    Texts.writeInQuotes(output, NULL);
                } else {
                    key.write(output, name);
                }
                output.write(':');
                item.writeOrNull(output, itemGetter.getElementOrNull(items, index));
            }
            output.write('}');
        });
    }

    private static ValueWriter row(RowType type) {
        RowWriter members = new RowWriter(type.getFieldNames(), type.getChildren());
        RowData.FieldGetter[] getters = new RowData.FieldGetter[type.getFieldCount()];
        for (int place = 0; place < getters.length; place++) {
            getters[place] = RowData.createFieldGetter(type.getChildren().get(place), place);
        }
        return plain((output, value) -> members.write(output, place -> getters[place].getFieldOrNull((RowData) value)));
    }
}
