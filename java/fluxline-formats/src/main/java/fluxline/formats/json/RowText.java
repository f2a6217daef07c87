package fluxline.formats.json;

import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.catalog.DataTypeFactory;
import org.apache.flink.table.functions.FunctionDefinition;
import org.apache.flink.table.functions.ScalarFunction;
import org.apache.flink.table.functions.SpecializedFunction;
import org.apache.flink.table.functions.UserDefinedFunction;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.inference.ArgumentCount;
import org.apache.flink.table.types.inference.CallContext;
import org.apache.flink.table.types.inference.ConstantArgumentCount;
import org.apache.flink.table.types.inference.InputTypeStrategy;
import org.apache.flink.table.types.inference.Signature;
import org.apache.flink.table.types.inference.TypeInference;
import org.apache.flink.table.types.inference.TypeStrategies;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.utils.DataTypeUtils;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * A row as the bytes of one JSON object, as the embedded engine writes it: {@code fluxline_row_text('id', id, 'name', name)}.
 *
 * <p>Names are constants. What is longer than a record may be is cut there.
 */
public final class RowText extends ScalarFunction implements SpecializedFunction {
    private static final long serialVersionUID = 1L;

    private final List<String> names;
    private final List<LogicalType> types;
    private transient RowWriter writer;

    public RowText() {
        this(List.of(), List.of());
    }

    private RowText(List<String> names, List<LogicalType> types) {
        this.names = names;
        this.types = types;
    }

    /** Called with names and values in turn, in Flink's internal form. */
    public byte[] eval(Object... arguments) {
        if (writer == null) {
            writer = new RowWriter(names, types);
        }
        byte[] written = writer.write(place -> arguments[2 * place + 1]);
        return written.length <= Bytes.RECORD_BYTES_MAX ? written : Arrays.copyOf(written, Bytes.RECORD_BYTES_MAX);
    }

    @Override
    public UserDefinedFunction specialize(SpecializedContext context) {
        CallContext call = context.getCallContext();
        List<DataType> given = call.getArgumentDataTypes();
        List<String> called = new ArrayList<>();
        List<LogicalType> kinds = new ArrayList<>();
        for (int place = 0; place < given.size(); place += 2) {
            called.add(call.getArgumentValue(place, String.class).orElseThrow(() -> new ValidationException("The name of a column is a constant.")));
            kinds.add(given.get(place + 1).getLogicalType());
        }
        return new RowText(called, kinds);
    }

    @Override
    public TypeInference getTypeInference(DataTypeFactory factory) {
        return TypeInference.newBuilder().inputTypeStrategy(new InPairs()).outputTypeStrategy(TypeStrategies.explicit(DataTypes.BYTES().notNull())).build();
    }

    @Override
    public boolean supportsConstantFolding() {
        return false;
    }

    /** Any types, in pairs, taken in Flink's internal form: so a MAP keeps its order and nothing is converted. */
    private static final class InPairs implements InputTypeStrategy {
        @Override
        public ArgumentCount getArgumentCount() {
            return ConstantArgumentCount.from(2);
        }

        @Override
        public Optional<List<DataType>> inferInputTypes(CallContext call, boolean throwOnFailure) {
            List<DataType> given = call.getArgumentDataTypes();
            if (given.size() % 2 != 0) {
                return call.fail(throwOnFailure, "Names and values come in pairs.");
            }
            return Optional.of(given.stream().map(DataTypeUtils::toInternalDataType).collect(Collectors.toList()));
        }

        @Override
        public List<Signature> getExpectedSignatures(FunctionDefinition definition) {
            return List.of(Signature.of(Signature.Argument.of("name, value, ...")));
        }
    }
}
