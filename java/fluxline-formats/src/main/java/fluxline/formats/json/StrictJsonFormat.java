package fluxline.formats.json;

import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.table.connector.Projection;
import org.apache.flink.table.connector.format.ProjectableDecodingFormat;
import org.apache.flink.table.connector.source.DynamicTableSource;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.RowType;
import org.apache.flink.table.types.utils.DataTypeUtils;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The format of one table: which columns and which metadata of it are read. */
final class StrictJsonFormat implements ProjectableDecodingFormat<DeserializationSchema<RowData>> {
    private final char separator;
    private final List<String> notNull;
    private List<RejectMetadata> metadata = List.of();

    /**
     * @param separator what stands between date and time
     * @param notNull the nullable columns that a good record must have all the same
     */
    StrictJsonFormat(char separator, List<String> notNull) {
        this.separator = separator;
        this.notNull = notNull;
    }

    @Override
    public Map<String, DataType> listReadableMetadata() {
        Map<String, DataType> found = new LinkedHashMap<>();
        for (RejectMetadata each : RejectMetadata.values()) {
            found.put(each.key(), each.type());
        }
        return found;
    }

    @Override
    public void applyReadableMetadata(List<String> keys) {
        List<RejectMetadata> wanted = new ArrayList<>();
        for (String key : keys) {
            wanted.add(RejectMetadata.ofKey(key));
        }
        metadata = wanted;
    }

    @Override
    public DeserializationSchema<RowData> createRuntimeDecoder(DynamicTableSource.Context context, DataType physical, int[][] projections) {
        requireKnown(DataType.getFieldNames(physical));
        DataType projected = Projection.of(projections).project(physical);
        List<DataTypes.Field> fields = new ArrayList<>();
        for (RejectMetadata each : metadata) {
            fields.add(DataTypes.FIELD("$" + each.key(), each.type())); // Behind the columns, found by their place.
        }
        DataType produced = DataTypeUtils.appendRowFields(projected, fields);
        RowType read = withNotNull((RowType) projected.getLogicalType());
        Readers.ofRow(read, separator); // Refuses a type here and not when the job runs.
        return new StrictJsonDecoder(read, separator, metadata, context.createTypeInformation(produced));
    }

    private void requireKnown(List<String> columns) {
        for (String name : notNull) {
            if (!columns.contains(name)) {
                throw new ValidationException(
                        "The option '" + StrictJsonFormatFactory.NOT_NULL.key() + "' names '" + name + "', which is no column of the value.");
            }
        }
    }

    /** The fields as good records must have them. */
    private RowType withNotNull(RowType declared) {
        List<RowType.RowField> fields = new ArrayList<>();
        for (RowType.RowField field : declared.getFields()) {
            LogicalType type = field.getType();
            if (!type.isNullable() && !metadata.isEmpty()) {
                throw new ValidationException(
                        "Column '" + field.getName() + "' is NOT NULL, and the row of a rejected record holds NULL in it. Declare the column without"
                                + " NOT NULL and name it in the option '" + StrictJsonFormatFactory.NOT_NULL.key() + "'.");
            }
            fields.add(new RowType.RowField(field.getName(), notNull.contains(field.getName()) ? type.copy(false) : type));
        }
        return new RowType(false, fields);
    }

    @Override
    public ChangelogMode getChangelogMode() {
        return ChangelogMode.insertOnly();
    }
}
