package fluxline.formats.json;

import java.math.BigDecimal;
import java.math.MathContext;
import java.math.RoundingMode;
import java.util.function.Predicate;

/**
 * Floating-point numbers as the shortest text that reads back as the same value; of several the one that is nearest to it.
 *
 * <p>Java 17's own text of a number is not always the shortest. JSON has no word for NaN and the infinities: they are texts.
 */
final class Numbers {
    private static final int DOUBLE_DIGITS_MAX = 17;
    private static final int FLOAT_DIGITS_MAX = 9;

    private Numbers() {}

    static String text(double value) {
        if (!Double.isFinite(value)) {
            return word(value);
        }
        if (value == 0) {
            return 1 / value < 0 ? "-0.0" : "0.0";
        }
        BigDecimal exact = new BigDecimal(value);
        BigDecimal found = shortest(exact, DOUBLE_DIGITS_MAX, text -> Double.parseDouble(text.toString()) == value);
        return text(found, -5, 15);
    }

    static String text(float value) {
        if (!Float.isFinite(value)) {
            return word(value);
        }
        if (value == 0) {
            return 1 / value < 0 ? "-0.0" : "0.0";
        }
        BigDecimal exact = new BigDecimal(value);
        BigDecimal found = shortest(exact, FLOAT_DIGITS_MAX, text -> Float.parseFloat(text.toString()) == value);
        return text(found, -6, 12);
    }

    private static String word(double value) {
        return Double.isNaN(value) ? "\"NaN\"" : value > 0 ? "\"Infinity\"" : "\"-Infinity\"";
    }

    /** If so many digits are enough, more are too: with `most` they always are. */
    private static BigDecimal shortest(BigDecimal exact, int most, Predicate<BigDecimal> same) {
        int low = 1;
        BigDecimal found = exact.round(new MathContext(most, RoundingMode.HALF_EVEN));
        for (int high = most; low < high; ) {
            int digits = (low + high) / 2;
            BigDecimal candidate = rounded(exact, digits, same);
            if (candidate == null) {
                low = digits + 1;
            } else {
                high = digits;
                found = candidate;
            }
        }
        return found.stripTrailingZeros();
    }

    /** The number of so many digits that is nearest and reads back as the same value, or null. */
    private static BigDecimal rounded(BigDecimal exact, int digits, Predicate<BigDecimal> same) {
        BigDecimal nearest = exact.round(new MathContext(digits, RoundingMode.HALF_EVEN));
        if (same.test(nearest)) {
            return nearest;
        }
        // At a power of two the values below lie closer than those above, and the nearest text may be one of theirs.
        RoundingMode other = nearest.abs().compareTo(exact.abs()) > 0 ? RoundingMode.DOWN : RoundingMode.UP;
        BigDecimal farther = exact.round(new MathContext(digits, other));
        return same.test(farther) ? farther : null;
    }

    /** Plain digits where the power of ten of the first digit lies within the bounds, else with an exponent. */
    private static String text(BigDecimal value, int least, int most) {
        String digits = value.unscaledValue().abs().toString();
        int power = digits.length() - 1 - value.scale();
        String sign = value.signum() < 0 ? "-" : "";
        if (power >= least && power <= most) {
            String plain = value.toPlainString();
            return value.scale() <= 0 ? plain + ".0" : plain;
        }
        String fraction = digits.length() == 1 ? "" : "." + digits.substring(1);
        return sign + digits.charAt(0) + fraction + (power < 0 ? "e" : "e+") + power;
    }
}
