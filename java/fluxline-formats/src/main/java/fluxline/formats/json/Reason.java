package fluxline.formats.json;

import java.util.Locale;

/** Why a record is rejected; the closed set that the embedded engine knows, as far as a decoder decides. */
public enum Reason {
    MALFORMED,
    WRONG_TYPE,
    OUT_OF_RANGE,
    MISSING,
    NOT_UTF8,
    TOO_LARGE,
    TOO_DEEP;

    private final String text = name().toLowerCase(Locale.ROOT);

    /** The reason as rejected rows carry it. */
    public String text() {
        return text;
    }
}
