package fluxline.formats.json;

import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonParser;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonToken;
import org.apache.flink.table.data.DecimalData;
import org.apache.flink.table.types.logical.DecimalType;
import org.apache.flink.table.types.logical.LogicalType;

import java.io.IOException;
import java.math.BigDecimal;

/** Numbers, from JSON numbers only. */
final class NumberReaders {
    private NumberReaders() {}

    /** TINYINT, SMALLINT, INT, BIGINT: numbers without a point and an exponent. */
    static final class IntegerReader extends Reader {
        private static final int DIGITS_MAX = 19; // Of a 64-bit integer.

        private final long low;
        private final long high;

        IntegerReader(LogicalType type, int bits) {
            super(type);
            low = -1L << (bits - 1);
            high = ~low;
        }

        @Override
        protected Object readPresent(JsonParser parser) throws IOException {
            if (parser.currentToken() != JsonToken.VALUE_NUMBER_INT) {
                return wrongType(parser);
            }
            if (parser.getTextLength() > DIGITS_MAX + 1) { // One for the sign.
                return outOfRange(parser);
            }
            long value;
            try {
                value = Long.parseLong(parser.getText());
            } catch (NumberFormatException beyond64Bits) {
                return outOfRange(parser);
            }
            return value < low || value > high ? outOfRange(parser) : boxed(value);
        }

        private Object boxed(long value) {
            switch (type.getTypeRoot()) {
                case TINYINT:
                    return (byte) value;
                case SMALLINT:
                    return (short) value;
                case INTEGER:
                    return (int) value;
                default:
                    return value;
            }
        }
    }

    /** FLOAT and DOUBLE: any number that they can hold, rounded to the nearest; FLOAT by way of DOUBLE. */
    static final class ApproximateReader extends Reader {
        private final boolean single;

        ApproximateReader(LogicalType type, boolean single) {
            super(type);
            this.single = single;
        }

        @Override
        protected Object readPresent(JsonParser parser) throws IOException {
            if (!parser.currentToken().isNumeric()) {
                return wrongType(parser);
            }
            double value = Double.parseDouble(parser.getText());
            if (parser.currentToken() == JsonToken.VALUE_NUMBER_INT) {
                value += 0.0; // An integer has no negative zero: -0 is 0.0, -0.0 is itself.
            }
            if (Double.isInfinite(value) || (single && Float.isInfinite((float) value))) {
                return outOfRange(parser);
            }
            if (single) {
                return (float) value;
            }
            return value;
        }
    }

    /** DECIMAL: any number that precision and scale hold exactly. */
    static final class DecimalReader extends Reader {
        private static final int EXPONENT_DIGITS_MAX = 9; // A longer one is beyond every DECIMAL, unless all digits are zero.

        private final int precision;
        private final int scale;

        DecimalReader(DecimalType type) {
            super(type);
            precision = type.getPrecision();
            scale = type.getScale();
        }

        @Override
        protected Object readPresent(JsonParser parser) throws IOException {
            if (!parser.currentToken().isNumeric()) {
                return wrongType(parser);
            }
            BigDecimal value = exact(parser.getText());
            return value == null ? outOfRange(parser) : DecimalData.fromBigDecimal(value, precision, scale);
        }

        /** The number, or null when it does not fit. Its digits are looked at first: an exponent can stand for a billion of them. */
        private BigDecimal exact(String text) {
            int exponentAt = Math.max(text.indexOf('e'), text.indexOf('E'));
            String mantissa = exponentAt < 0 ? text : text.substring(0, exponentAt);
            boolean negative = mantissa.startsWith("-");
            int point = mantissa.indexOf('.');
            int fraction = point < 0 ? 0 : mantissa.length() - point - 1;
            String digits = withoutZeros(mantissa.substring(negative ? 1 : 0).replace(".", ""));
            if (digits.isEmpty()) {
                return BigDecimal.ZERO;
            }
            String significant = withoutZerosBehind(digits);
            String exponent = exponentAt < 0 ? "0" : text.substring(exponentAt + 1);
            if (withoutZeros(exponent.replaceFirst("^[+-]", "")).length() > EXPONENT_DIGITS_MAX) {
                return null;
            }
            long power = Long.parseLong(exponent) - fraction + digits.length() - significant.length();
            if (power < -scale || significant.length() + power > precision - scale) {
                return null;
            }
            BigDecimal value = new BigDecimal(significant).scaleByPowerOfTen((int) power);
            return negative ? value.negate() : value;
        }

        private static String withoutZeros(String digits) {
            int start = 0;
            while (start < digits.length() && digits.charAt(start) == '0') {
                start++;
            }
            return digits.substring(start);
        }

        private static String withoutZerosBehind(String digits) {
            int end = digits.length();
            while (digits.charAt(end - 1) == '0') {
                end--;
            }
            return digits.substring(0, end);
        }
    }
}
