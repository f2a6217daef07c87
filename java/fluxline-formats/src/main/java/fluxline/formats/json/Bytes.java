package fluxline.formats.json;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;

/** What the bytes of a record say before and beside the parser. */
final class Bytes {
    /** A larger record is rejected; the same limit as the embedded engine's. */
    static final int RECORD_BYTES_MAX = 4 * 1024 * 1024;

    /** Nesting of a record, the record itself counted. */
    static final int DEPTH_MAX = 1_000;

    private static final int HEX = 16;

    private Bytes() {}

    /** Why the record cannot be parsed, or null. */
    static Finding check(byte[] record) {
        if (record == null) {
            return Finding.ofRecord(Reason.MALFORMED, "The record has no value.");
        }
        if (record.length > RECORD_BYTES_MAX) {
            return Finding.ofRecord(Reason.TOO_LARGE, "The record is longer than " + RECORD_BYTES_MAX + " bytes.");
        }
        if (!isUtf8(record)) {
            return Finding.ofRecord(Reason.NOT_UTF8, "The record is not valid UTF-8.");
        }
        if (isTooDeep(record)) {
            return Finding.ofRecord(Reason.TOO_DEEP, "The record nests more than " + DEPTH_MAX + " levels deep.");
        }
        int start = 0;
        while (start < record.length && isSpace(record[start])) {
            start++;
        }
        if (start == record.length) {
            return Finding.ofRecord(Reason.MALFORMED, "The record is empty.");
        }
        return record[start] == '{' ? null : Finding.ofRecord(Reason.MALFORMED, "The record is not an object: it does not begin with {.");
    }

    private static boolean isSpace(byte letter) {
        return letter == ' ' || letter == '\t' || letter == '\r' || letter == '\n';
    }

    private static boolean isUtf8(byte[] record) {
        for (byte letter : record) {
            if (letter < 0) {
                try {
                    StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(record)); // A new decoder reports what is wrong.
                    return true;
                } catch (CharacterCodingException error) {
                    return false;
                }
            }
        }
        return true;
    }

    /** Whether the record nests too deep; brackets in texts do not count, those behind a text that is not closed do. */
    private static boolean isTooDeep(byte[] record) {
        int openers = 0;
        for (byte letter : record) {
            openers += letter == '[' || letter == '{' ? 1 : 0;
        }
        if (openers <= DEPTH_MAX) {
            return false;
        }
        int level = 0;
        boolean closed = true; // Behind a text that is not closed no other one is.
        for (int place = 0; place < record.length; place++) {
            byte letter = record[place];
            if (letter == '"' && closed) {
                int end = endOfText(record, place);
                closed = end >= 0;
                place = closed ? end : place;
            } else if (letter == '[' || letter == '{') {
                level++;
            } else if (letter == ']' || letter == '}') {
                level--;
            }
            if (level > DEPTH_MAX) {
                return true;
            }
        }
        return false;
    }

    /** Where the text that begins at a quote has its closing quote, or -1. */
    private static int endOfText(byte[] record, int quote) {
        for (int place = quote + 1; place < record.length; place++) {
            if (record[place] == '"') {
                return place;
            }
            if (record[place] == '\\') {
                place++;
            }
        }
        return -1;
    }

    /** Whether each escaped half of a surrogate pair in a valid JSON text has its other half behind it. */
    static boolean pairsSurrogates(byte[] record) {
        boolean open = false; // The escape before was a high surrogate.
        int place = 0;
        while (place < record.length) {
            boolean escape = record[place] == '\\';
            int unit = escape && record[place + 1] == 'u' ? unit(record, place + 2) : 0;
            boolean low = unit != 0 && Character.isLowSurrogate((char) unit);
            if (low != open) {
                return false;
            }
            open = unit != 0 && Character.isHighSurrogate((char) unit);
            if (!escape) {
                place++;
            } else {
                place += record[place + 1] == 'u' ? 6 : 2;
            }
        }
        return !open;
    }

    private static int unit(byte[] record, int start) {
        int unit = 0;
        for (int place = start; place < start + 4; place++) {
            unit = unit * HEX + Character.digit(record[place], HEX);
        }
        return unit;
    }
}
