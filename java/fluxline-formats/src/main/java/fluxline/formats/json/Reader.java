package fluxline.formats.json;

import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonParser;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonToken;
import org.apache.flink.table.types.logical.LogicalType;

import java.io.IOException;

/** Reads the values of one type. */
abstract class Reader {
    /** The type, as it is declared. */
    protected final LogicalType type;

    Reader(LogicalType type) {
        this.type = type;
    }

    /**
     * The value that begins at the parser's current token, in Flink's internal form; null for NULL; a {@link Finding} when it
     * is not of the type.
     *
     * <p>Behind it the parser stands on the value's last token. A value that is not of the type is read to its end as well:
     * a later one of the same name may take its place, and what is no JSON at all outweighs it.
     */
    final Object read(JsonParser parser) throws IOException {
        if (parser.currentToken() == JsonToken.VALUE_NULL) {
            return type.isNullable() ? null : Finding.missing(type, "null");
        }
        return readPresent(parser);
    }

    /** What a field of this type is that is not there. */
    final Object absent() {
        return type.isNullable() ? null : Finding.missing(type, "not there");
    }

    /** The value when it is not null. */
    protected abstract Object readPresent(JsonParser parser) throws IOException;

    /** The finding of a value of another JSON type. */
    protected final Finding wrongType(JsonParser parser) throws IOException {
        return Finding.misfit(Reason.WRONG_TYPE, type, parser, "");
    }

    /** The finding of a value that the type cannot hold. */
    protected final Finding outOfRange(JsonParser parser) throws IOException {
        return Finding.misfit(Reason.OUT_OF_RANGE, type, parser, "");
    }
}
