package fluxline.formats.json;

import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.connector.format.DecodingFormat;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.factories.DeserializationFormatFactory;
import org.apache.flink.table.factories.DynamicTableFactory;
import org.apache.flink.table.factories.FactoryUtil;

import java.util.List;
import java.util.Set;

/** Makes the format `fluxline-json` from its options; Flink finds it by the service file of the jar. */
public final class StrictJsonFormatFactory implements DeserializationFormatFactory {
    public static final String IDENTIFIER = "fluxline-json";

    static final ConfigOption<String> TIMESTAMP_FORMAT =
            ConfigOptions.key("timestamp-format.standard")
                    .stringType()
                    .defaultValue("ISO-8601")
                    .withDescription("How timestamps are written: ISO-8601 with a T between date and time, SQL with a space.");

    static final ConfigOption<List<String>> NOT_NULL =
            ConfigOptions.key("not-null")
                    .stringType()
                    .asList()
                    .defaultValues()
                    .withDescription("Columns that a record must have, though they are declared nullable for the rows of rejected records.");

    @Override
    public DecodingFormat<DeserializationSchema<RowData>> createDecodingFormat(DynamicTableFactory.Context context, ReadableConfig options) {
        FactoryUtil.validateFactoryOptions(this, options);
        return new StrictJsonFormat(separator(options.get(TIMESTAMP_FORMAT)), options.get(NOT_NULL));
    }

    /** What stands between date and time. */
    static char separator(String standard) {
        switch (standard) {
            case "ISO-8601":
                return 'T';
            case "SQL":
                return ' ';
            default:
                throw new ValidationException("The option '" + TIMESTAMP_FORMAT.key() + "' is ISO-8601 or SQL, not '" + standard + "'.");
        }
    }

    @Override
    public String factoryIdentifier() {
        return IDENTIFIER;
    }

    @Override
    public Set<ConfigOption<?>> requiredOptions() {
        return Set.of();
    }

    @Override
    public Set<ConfigOption<?>> optionalOptions() {
        return Set.of(TIMESTAMP_FORMAT, NOT_NULL);
    }
}
