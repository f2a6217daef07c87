package fluxline.formats.json;

import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.types.logical.RowType;

import java.io.IOException;
import java.util.List;

/**
 * Each record becomes one row: its fields, or NULLs and the metadata that say why not.
 *
 * <p>Without metadata nobody would see what was rejected, so a record that does not decode fails the job.
 */
final class StrictJsonDecoder implements DeserializationSchema<RowData> {
    private static final long serialVersionUID = 1L;

    private final RowType fields;
    private final char separator;
    private final List<RejectMetadata> metadata;
    private final int raw; // Where the bytes stand in a row, or -1.
    private final TypeInformation<RowData> produced;
    private transient RecordReader reader;

    StrictJsonDecoder(RowType fields, char separator, List<RejectMetadata> metadata, TypeInformation<RowData> produced) {
        this.fields = fields;
        this.separator = separator;
        this.metadata = metadata;
        int place = metadata.indexOf(RejectMetadata.RAW);
        this.raw = place < 0 ? -1 : fields.getFieldCount() + place;
        this.produced = produced;
    }

    @Override
    public RowData deserialize(byte[] record) throws IOException {
        if (reader == null) {
            reader = new RecordReader(fields, separator, fields.getFieldCount() + metadata.size());
        }
        Object read = reader.read(record);
        if (!(read instanceof Finding)) {
            GenericRowData row = (GenericRowData) read;
            if (raw >= 0) {
                row.setField(raw, record); // Whoever rejects it later, for its time, shows its bytes too.
            }
            return row;
        }
        Finding finding = (Finding) read;
        if (metadata.isEmpty()) {
            throw new IOException(
                    "A record is rejected (" + finding.reason().text() + "), and the table has no metadata column for it. " + finding.detail());
        }
        GenericRowData row = new GenericRowData(fields.getFieldCount() + metadata.size());
        for (int place = 0; place < metadata.size(); place++) {
            row.setField(fields.getFieldCount() + place, metadata.get(place).of(finding, record));
        }
        return row;
    }

    @Override
    public boolean isEndOfStream(RowData row) {
        return false;
    }

    @Override
    public TypeInformation<RowData> getProducedType() {
        return produced;
    }
}
