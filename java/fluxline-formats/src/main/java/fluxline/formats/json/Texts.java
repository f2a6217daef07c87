package fluxline.formats.json;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;

/** Texts in JSON: they stay UTF-8, and only quotes, backslashes and control characters are escaped. */
final class Texts {
    private static final byte[][] ESCAPES = escapes();

    private Texts() {}

    /** ASCII as it is. */
    static void write(ByteArrayOutputStream output, String text) {
        output.writeBytes(text.getBytes(StandardCharsets.US_ASCII));
    }

    /** ASCII in which nothing needs to be escaped, in quotes. */
    static void writeInQuotes(ByteArrayOutputStream output, String text) {
        writeInQuotes(output, text.getBytes(StandardCharsets.US_ASCII));
    }

    static void writeInQuotes(ByteArrayOutputStream output, byte[] text) {
        output.write('"');
        output.writeBytes(text);
        output.write('"');
    }

    /** Any text, in quotes. */
    static void writeQuoted(ByteArrayOutputStream output, byte[] text) {
        output.write('"');
        int written = 0;
        for (int place = 0; place < text.length; place++) {
            byte[] escape = text[place] < 0 ? null : ESCAPES[text[place]]; // A byte of a longer character is negative.
            if (escape != null) {
                output.write(text, written, place - written);
                output.writeBytes(escape);
                written = place + 1;
            }
        }
        output.write(text, written, text.length - written);
        output.write('"');
    }

    private static byte[][] escapes() {
        String[] found = new String[128];
        for (int code = 0; code < ' '; code++) {
            found[code] = String.format("\\u%04x", code);
        }
        found['\b'] = "\\b";
        found['\t'] = "\\t";
        found['\n'] = "\\n";
        found['\f'] = "\\f";
        found['\r'] = "\\r";
        found['"'] = "\\\"";
        found['\\'] = "\\\\";
        byte[][] bytes = new byte[found.length][];
        for (int code = 0; code < found.length; code++) {
            bytes[code] = found[code] == null ? null : found[code].getBytes(StandardCharsets.US_ASCII);
        }
        return bytes;
    }
}
