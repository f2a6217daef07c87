package fluxline.formats.json;

import org.apache.flink.table.data.TimestampData;

import java.time.LocalDate;
import java.time.LocalDateTime;
import java.util.Locale;

/** Dates and times as text: no fraction that is zero, and no zero at a fraction's end. */
final class Times {
    private static final int NANOSECONDS_OF_MILLISECOND = 1_000_000;
    private static final int FRACTION_DIGITS = 9;
    private static final int YEAR_MAX = 9_999;

    private Times() {}

    /** A date, from the days since 1970. */
    static String date(int days) {
        return date(LocalDate.ofEpochDay(days));
    }

    /** A time of day, from its milliseconds. */
    static String time(int milliseconds) {
        int seconds = milliseconds / 1_000;
        return time(seconds / 3_600, seconds / 60 % 60, seconds % 60, milliseconds % 1_000 * NANOSECONDS_OF_MILLISECOND);
    }

    /** Both; of an instant those of UTC. */
    static String timestamp(TimestampData value) {
        LocalDateTime at = value.toLocalDateTime();
        return date(at.toLocalDate()) + "T" + time(at.getHour(), at.getMinute(), at.getSecond(), at.getNano());
    }

    private static String date(LocalDate date) {
        // Years that have no four digits carry their sign.
        String year = date.getYear() < 0 || date.getYear() > YEAR_MAX ? "%+05d" : "%04d";
        return String.format(Locale.ROOT, year + "-%02d-%02d", date.getYear(), date.getMonthValue(), date.getDayOfMonth());
    }

    private static String time(int hour, int minute, int second, int nanoseconds) {
        String text = String.format(Locale.ROOT, "%02d:%02d:%02d", hour, minute, second);
        if (nanoseconds == 0) {
            return text;
        }
        String fraction = String.format(Locale.ROOT, "%0" + FRACTION_DIGITS + "d", nanoseconds);
        int end = FRACTION_DIGITS;
        while (fraction.charAt(end - 1) == '0') {
            end--;
        }
        return text + "." + fraction.substring(0, end);
    }
}
