package fluxline.formats.json;

import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.types.DataType;

import java.util.Locale;

/** The metadata that a record carries; of a good one all but the bytes are NULL. */
enum RejectMetadata {
    /** Why, as one of the closed set of reasons. Of a rejected record it is never NULL. */
    REJECT(DataTypes.STRING()),
    /** One sentence for people. */
    DETAIL(DataTypes.STRING()),
    /** The bytes, of every record; NULL when it had none. */
    RAW(DataTypes.BYTES());

    private final DataType type;

    RejectMetadata(DataType type) {
        this.type = type.nullable();
    }

    String key() {
        return name().toLowerCase(Locale.ROOT);
    }

    DataType type() {
        return type;
    }

    static RejectMetadata ofKey(String key) {
        return valueOf(key.toUpperCase(Locale.ROOT));
    }

    /** The value for a record, in Flink's internal form. */
    Object of(Finding finding, byte[] record) {
        switch (this) {
            case REJECT:
                return StringData.fromString(finding.reason().text());
            case DETAIL:
                return StringData.fromString(finding.detail());
            default:
                return record;
        }
    }
}
