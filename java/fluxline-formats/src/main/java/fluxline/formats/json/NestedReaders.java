package fluxline.formats.json;

import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonParser;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonToken;
import org.apache.flink.table.data.GenericArrayData;
import org.apache.flink.table.data.GenericMapData;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.types.logical.ArrayType;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.MapType;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** ARRAY, MAP and ROW. Of their members, the first in order that is not of its type is the finding of the whole. */
final class NestedReaders {
    private NestedReaders() {}

    /** ARRAY, from arrays. */
    static final class ArrayReader extends Reader {
        private final Reader item;

        ArrayReader(ArrayType type, Reader item) {
            super(type);
            this.item = item;
        }

        @Override
        protected Object readPresent(JsonParser parser) throws IOException {
            if (parser.currentToken() != JsonToken.START_ARRAY) {
                return wrongType(parser);
            }
            List<Object> items = new ArrayList<>();
            Finding first = null;
            for (int index = 0; parser.nextToken() != JsonToken.END_ARRAY; index++) {
                Object value = item.read(parser);
                if (value instanceof Finding && first == null) {
                    first = ((Finding) value).inItem(index);
                }
                items.add(value);
            }
            return first == null ? new GenericArrayData(items.toArray()) : first;
        }
    }

    /** MAP with text as keys, from objects; the last of equal keys wins. */
    static final class MapReader extends Reader {
        private final TextReaders.TextReader key;
        private final Reader value;

        MapReader(MapType type, TextReaders.TextReader key, Reader value) {
            super(type);
            this.key = key;
            this.value = value;
        }

        @Override
        protected Object readPresent(JsonParser parser) throws IOException {
            if (parser.currentToken() != JsonToken.START_OBJECT) {
                return wrongType(parser);
            }
            Map<String, Object> members = new LinkedHashMap<>();
            while (parser.nextToken() != JsonToken.END_OBJECT) {
                String name = parser.currentName();
                parser.nextToken();
                members.put(name, value.read(parser));
            }
            Map<Object, Object> entries = new LinkedHashMap<>(members.size() * 2); // The order of the record.
            for (Map.Entry<String, Object> member : members.entrySet()) {
                Object found = key.readKey(member.getKey());
                for (Object half : new Object[] {found, member.getValue()}) {
                    if (half instanceof Finding) {
                        return ((Finding) half).inEntry(member.getKey());
                    }
                }
                entries.put(found, member.getValue());
            }
            return new GenericMapData(entries);
        }
    }

    /** ROW, from objects; members that the type does not have are ignored, the last of equal names wins. */
    static final class RowReader extends Reader {
        private final String[] names;
        private final Reader[] readers;
        private final Map<String, Integer> places = new HashMap<>();

        RowReader(LogicalType type, List<String> names, List<Reader> readers) {
            super(type);
            this.names = names.toArray(new String[0]);
            this.readers = readers.toArray(new Reader[0]);
            for (int place = 0; place < this.names.length; place++) {
                places.put(this.names[place], place);
            }
        }

        @Override
        protected Object readPresent(JsonParser parser) throws IOException {
            if (parser.currentToken() != JsonToken.START_OBJECT) {
                return wrongType(parser);
            }
            return readMembers(parser, names.length);
        }

        /** The row of the object in front of the parser, with room for `width` fields; or a finding. */
        Object readMembers(JsonParser parser, int width) throws IOException {
            GenericRowData row = new GenericRowData(width);
            boolean[] seen = new boolean[names.length];
            while (parser.nextToken() != JsonToken.END_OBJECT) {
                Integer place = places.get(parser.currentName());
                parser.nextToken();
                if (place == null) {
                    parser.skipChildren();
                } else {
                    row.setField(place, readers[place].read(parser));
                    seen[place] = true;
                }
            }
            for (int place = 0; place < names.length; place++) {
                Object value = seen[place] ? row.getField(place) : readers[place].absent();
                if (value instanceof Finding) {
                    return ((Finding) value).inField(names[place]);
                }
            }
            return row;
        }
    }
}
