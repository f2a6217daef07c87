package fluxline.formats.json;

import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonParser;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonToken;
import org.apache.flink.table.data.TimestampData;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.LogicalTypeRoot;
import org.apache.flink.table.types.logical.utils.LogicalTypeChecks;

import java.io.IOException;
import java.time.LocalDate;
import java.time.YearMonth;

/**
 * DATE, TIME, TIMESTAMP and TIMESTAMP_LTZ, from text in one form each.
 *
 * <pre>
 * DATE            2026-01-31
 * TIME            10:00:00[.f]
 * TIMESTAMP       2026-01-31T10:00:00[.f]      (SQL form: a space instead of T)
 * TIMESTAMP_LTZ   2026-01-31T10:00:00[.f]Z
 * </pre>
 *
 * <p>`f` is one to nine digits; those beyond the type's precision are cut. A text in another form is of the wrong type; one in
 * the form that names no real date or time is out of range.
 */
final class TemporalReader extends Reader {
    private static final int FRACTION_DIGITS_MAX = 9;
    private static final int MICROSECOND_DIGITS = 6;
    private static final long NANOSECONDS = 1_000_000_000L;
    // Counts of nanoseconds in 64 bits end within these seconds; the two broken seconds at the ends are given up, as the embedded engine does.
    private static final long SECONDS_MIN = Math.floorDiv(Long.MIN_VALUE, NANOSECONDS) + 1;
    private static final long SECONDS_MAX = Math.floorDiv(Long.MAX_VALUE, NANOSECONDS) - 1;

    private final String form; // An example, without a fraction and a Z.
    private final boolean local;
    private final boolean dated;
    private final boolean timed;
    private final int precision;

    /**
     * @param separator what stands between date and time
     */
    TemporalReader(LogicalType type, char separator) {
        super(type);
        LogicalTypeRoot root = type.getTypeRoot();
        local = root == LogicalTypeRoot.TIMESTAMP_WITH_LOCAL_TIME_ZONE;
        dated = root != LogicalTypeRoot.TIME_WITHOUT_TIME_ZONE;
        timed = root != LogicalTypeRoot.DATE;
        precision = timed ? LogicalTypeChecks.getPrecision(type) : 0;
        form = (dated ? "2026-01-31" : "") + (dated && timed ? separator : "") + (timed ? "10:00:00" : "");
    }

    @Override
    protected Object readPresent(JsonParser parser) throws IOException {
        if (parser.currentToken() != JsonToken.VALUE_STRING) {
            return wrongType(parser);
        }
        String text = parser.getText();
        if (!hasForm(text)) {
            return Finding.misfit(Reason.WRONG_TYPE, type, parser, local ? form + "Z" : form);
        }
        Object value = value(text);
        return value == null ? outOfRange(parser) : value;
    }

    private boolean hasForm(String text) {
        int end = local ? text.length() - 1 : text.length();
        if (end < form.length() || (local && text.charAt(end) != 'Z')) {
            return false;
        }
        for (int place = 0; place < form.length(); place++) {
            char wanted = form.charAt(place);
            if (isDigit(wanted) ? !isDigit(text.charAt(place)) : text.charAt(place) != wanted) {
                return false;
            }
        }
        if (end == form.length()) {
            return true;
        }
        int digits = end - form.length() - 1;
        if (!timed || text.charAt(form.length()) != '.' || digits < 1 || digits > FRACTION_DIGITS_MAX) {
            return false;
        }
        for (int place = form.length() + 1; place < end; place++) {
            if (!isDigit(text.charAt(place))) {
                return false;
            }
        }
        return true;
    }

    /** The value of a text in the form, or null when it is no real date or time. */
    private Object value(String text) {
        long days = 0;
        if (dated) {
            int year = number(text, 0, 4);
            int month = number(text, 5, 2);
            int day = number(text, 8, 2);
            if (month < 1 || month > 12 || day < 1 || day > YearMonth.of(year, month).lengthOfMonth()) {
                return null;
            }
            days = LocalDate.of(year, month, day).toEpochDay();
        }
        if (!timed) {
            return (int) days;
        }
        int at = form.length() - 8;
        int hour = number(text, at, 2);
        int minute = number(text, at + 3, 2);
        int second = number(text, at + 6, 2);
        if (hour > 23 || minute > 59 || second > 59) {
            return null;
        }
        long seconds = days * 86_400 + hour * 3_600 + minute * 60 + second;
        int nanoseconds = fraction(text);
        if (!dated) {
            return (int) (seconds * 1_000 + nanoseconds / 1_000_000); // Flink holds no more than milliseconds of a TIME.
        }
        if (precision > MICROSECOND_DIGITS && (seconds < SECONDS_MIN || seconds > SECONDS_MAX)) {
            return null;
        }
        return TimestampData.fromEpochMillis(seconds * 1_000 + nanoseconds / 1_000_000, nanoseconds % 1_000_000);
    }

    /** The fraction in nanoseconds, cut to the precision. */
    private int fraction(String text) {
        int start = form.length() + 1;
        int end = Math.min(local ? text.length() - 1 : text.length(), start + precision);
        int value = 0;
        for (int place = start; place < start + FRACTION_DIGITS_MAX; place++) {
            value = value * 10 + (place < end ? text.charAt(place) - '0' : 0);
        }
        return value;
    }

    private static int number(String text, int start, int digits) {
        int value = 0;
        for (int place = start; place < start + digits; place++) {
            value = value * 10 + text.charAt(place) - '0';
        }
        return value;
    }

    private static boolean isDigit(char letter) {
        return letter >= '0' && letter <= '9';
    }
}
