package fluxline.formats.json;

import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonFactory;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonParser;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonProcessingException;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.StreamReadConstraints;
import org.apache.flink.table.types.logical.RowType;

import java.io.IOException;

/**
 * One record to one row, or to the reason why not.
 *
 * <p>The bytes are looked at first (size, UTF-8, depth, an object at all), for these reasons outweigh the others; then the record is
 * parsed once, to its end, and its fields are judged in the order of the schema.
 */
final class RecordReader {
    private final NestedReaders.RowReader fields;
    private final int width;
    private final JsonFactory parsers = strictParsers();

    /**
     * @param type the fields to read
     * @param separator what stands between date and time
     * @param width how many fields a row has room for; those behind the fields of the type stay NULL
     */
    RecordReader(RowType type, char separator, int width) {
        fields = Readers.ofRow(type, separator);
        this.width = width;
    }

    /** The parser is strict as it comes. What it would do beyond JSON is off, and its limits are ours, checked before. */
    private static JsonFactory strictParsers() {
        StreamReadConstraints constraints =
                StreamReadConstraints.builder()
                        .maxNestingDepth(Bytes.DEPTH_MAX + 1)
                        .maxNumberLength(Bytes.RECORD_BYTES_MAX)
                        .maxStringLength(Bytes.RECORD_BYTES_MAX)
                        .maxNameLength(Bytes.RECORD_BYTES_MAX)
                        .build();
        return JsonFactory.builder()
                .streamReadConstraints(constraints)
                .disable(JsonFactory.Feature.CHARSET_DETECTION) // A record is UTF-8; the bytes of UTF-16 are malformed.
                .disable(JsonFactory.Feature.INTERN_FIELD_NAMES)
                .disable(JsonFactory.Feature.FAIL_ON_SYMBOL_HASH_OVERFLOW) // No choice of names makes a record malformed.
                .build();
    }

    /** A row of Flink's internal form, or a {@link Finding}; `record` may be null. */
    Object read(byte[] record) {
        Finding found = Bytes.check(record);
        if (found != null) {
            return found;
        }
        try (JsonParser parser = parsers.createParser(record)) {
            parser.nextToken();
            Object row = fields.readMembers(parser, width);
            if (parser.nextToken() != null) {
                return malformed("trailing characters");
            }
            return Bytes.pairsSurrogates(record) ? row : malformed("invalid utf-16 surrogate pair");
        } catch (JsonProcessingException error) {
            return malformed(error.getOriginalMessage());
        } catch (IOException error) {
            return malformed(error.getMessage());
        }
    }

    private static Finding malformed(String message) {
        return Finding.ofRecord(Reason.MALFORMED, "The record is no JSON object: " + message + ".");
    }
}
