package fluxline.formats.json;

import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonParser;
import org.apache.flink.table.types.logical.LogicalType;

import java.io.IOException;

/**
 * Why a value is not of its type, or a record not decodable.
 *
 * <p>A reader returns it in the place of a value and says what it saw; those around it add where that was. So the path is
 * put together for misfits alone.
 */
public final class Finding {
    private static final int EXCERPT_CHARS = 60;
    private static final int DETAIL_CHARS_MAX = 500;

    private final Reason reason;
    private final String path;
    private final String sentence;

    private Finding(Reason reason, String path, String sentence) {
        this.reason = reason;
        this.path = path;
        this.sentence = sentence;
    }

    /** A record that cannot be decoded. */
    static Finding ofRecord(Reason reason, String sentence) {
        return new Finding(reason, "", sentence);
    }

    /** A value that must be there; `what` is `null` or `not there`. */
    static Finding missing(LogicalType type, String what) {
        return new Finding(Reason.MISSING, "", " is " + type.asSummaryString() + ", and it is " + what + ".");
    }

    /** The value in front of the parser, which is read to its end. `form` is the form that a text should have, or empty. */
    static Finding misfit(Reason reason, LogicalType type, JsonParser parser, String form) throws IOException {
        String tail = "";
        if (reason == Reason.OUT_OF_RANGE) {
            tail = ", which does not fit";
        } else if (!form.isEmpty() && parser.currentToken().isScalarValue() && !parser.currentToken().isNumeric()) {
            tail = "; the form is " + form;
        }
        String what = describe(parser);
        parser.skipChildren();
        return new Finding(reason, "", " is " + type.copy(true).asSummaryString() + ", and it holds " + what + tail + ".");
    }

    /** A text that is no value, such as the key of a MAP. */
    static Finding misfit(Reason reason, LogicalType type, String text) {
        String tail = reason == Reason.OUT_OF_RANGE ? ", which does not fit" : "";
        return new Finding(reason, "", " is " + type.copy(true).asSummaryString() + ", and it holds the text \"" + excerpt(text) + "\"" + tail + ".");
    }

    /** The same finding, seen from the field that holds the value. */
    Finding inField(String name) {
        return new Finding(reason, path.isEmpty() || path.startsWith("[") ? name + path : name + "." + path, sentence);
    }

    /** The same finding, seen from the array that holds the value. */
    Finding inItem(int index) {
        return inBrackets("[" + index + "]");
    }

    /** The same finding, seen from the map that holds the value. */
    Finding inEntry(String key) {
        return inBrackets("[\"" + excerpt(key) + "\"]");
    }

    private Finding inBrackets(String step) {
        return new Finding(reason, path.isEmpty() || path.startsWith("[") ? step + path : step + "." + path, sentence);
    }

    public Reason reason() {
        return reason;
    }

    /** One sentence for people. */
    public String detail() {
        String whole = path.isEmpty() ? sentence : "Field \"" + path + "\"" + sentence;
        return whole.length() <= DETAIL_CHARS_MAX ? whole : whole.substring(0, DETAIL_CHARS_MAX - 3) + "...";
    }

    private static String describe(JsonParser parser) throws IOException {
        switch (parser.currentToken()) {
            case VALUE_NUMBER_INT:
            case VALUE_NUMBER_FLOAT:
                return "the number " + excerpt(parser.getText());
            case VALUE_STRING:
                return "the text \"" + excerpt(parser.getText()) + "\"";
            case START_ARRAY:
                return "an array";
            case START_OBJECT:
                return "an object";
            default:
                return parser.getText();
        }
    }

    /** A text as a sentence shows it: short, with what does not print escaped. */
    private static String excerpt(String text) {
        StringBuilder shown = new StringBuilder();
        int[] letters = text.codePoints().limit(EXCERPT_CHARS + 1).toArray();
        int count = letters.length <= EXCERPT_CHARS ? letters.length : EXCERPT_CHARS - 3;
        for (int place = 0; place < count; place++) {
            appendPrintable(shown, letters[place]);
        }
        return count == letters.length ? shown.toString() : shown + "...";
    }

    private static void appendPrintable(StringBuilder shown, int letter) {
        switch (Character.getType(letter)) {
            case Character.CONTROL:
            case Character.FORMAT:
            case Character.SURROGATE:
            case Character.PRIVATE_USE:
            case Character.UNASSIGNED:
            case Character.LINE_SEPARATOR:
            case Character.PARAGRAPH_SEPARATOR:
                shown.append(escaped(letter));
                break;
            case Character.SPACE_SEPARATOR:
                shown.append(letter == ' ' ? " " : escaped(letter));
                break;
            default:
                shown.appendCodePoint(letter);
        }
    }

    private static String escaped(int letter) {
        switch (letter) {
            case '\n':
                return "\\n";
            case '\r':
                return "\\r";
            case '\t':
                return "\\t";
            default:
                return String.format(letter <= 0xff ? "\\x%02x" : letter <= 0xffff ? "\\u%04x" : "\\U%08x", letter);
        }
    }
}
