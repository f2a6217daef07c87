package fluxline.formats.json;

import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonParser;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonToken;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.types.logical.LogicalType;

import java.io.IOException;
import java.util.Base64;

/** Text, bytes and truth values. */
final class TextReaders {
    private TextReaders() {}

    /** BOOLEAN, from true and false. */
    static final class BooleanReader extends Reader {
        BooleanReader(LogicalType type) {
            super(type);
        }

        @Override
        protected Object readPresent(JsonParser parser) throws IOException {
            return parser.currentToken().isBoolean() ? parser.currentToken() == JsonToken.VALUE_TRUE : wrongType(parser);
        }
    }

    /** CHAR, VARCHAR, STRING, from text; its length is counted in characters of Unicode, and nothing is padded or cut. */
    static final class TextReader extends Reader {
        private final int length;

        TextReader(LogicalType type, int length) {
            super(type);
            this.length = length;
        }

        @Override
        protected Object readPresent(JsonParser parser) throws IOException {
            if (parser.currentToken() != JsonToken.VALUE_STRING) {
                return wrongType(parser);
            }
            String text = parser.getText();
            return fits(text) ? StringData.fromString(text) : outOfRange(parser);
        }

        /** The key of a MAP, or a finding. */
        Object readKey(String key) {
            return fits(key) ? StringData.fromString(key) : Finding.misfit(Reason.OUT_OF_RANGE, type, key);
        }

        private boolean fits(String text) {
            return text.length() <= length || text.codePointCount(0, text.length()) <= length;
        }
    }

    /** BINARY, VARBINARY, BYTES, from base64 text with padding, in its only spelling. */
    static final class BytesReader extends Reader {
        private final int length;

        BytesReader(LogicalType type, int length) {
            super(type);
            this.length = length;
        }

        @Override
        protected Object readPresent(JsonParser parser) throws IOException {
            if (parser.currentToken() != JsonToken.VALUE_STRING) {
                return wrongType(parser);
            }
            byte[] bytes = decoded(parser.getText());
            if (bytes == null) {
                return Finding.misfit(Reason.WRONG_TYPE, type, parser, "base64 with padding");
            }
            return bytes.length <= length ? bytes : outOfRange(parser);
        }

        private static byte[] decoded(String text) {
            try {
                byte[] bytes = Base64.getDecoder().decode(text);
                return Base64.getEncoder().encodeToString(bytes).equals(text) ? bytes : null;
            } catch (IllegalArgumentException notBase64) {
                return null;
            }
        }
    }
}
