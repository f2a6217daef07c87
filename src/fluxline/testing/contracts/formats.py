"""What every format owes: columns come back as they went, records are found in any pieces, and damage costs only its record."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

import numpy as np

from fluxline.formats.base import Decoded, Reason
from fluxline.limits import RECORD_BYTES_MAX, REJECT_DETAIL_CHARS_MAX
from fluxline.options import describe_options
from fluxline.schema import TableSchema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fluxline.batch import Batch, Int64s
    from fluxline.formats.base import Decoder, Format
    from fluxline.options import Options


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatContract:
    """The checks.

    Attributes:
        format: the word of the dictionary.
        schema: columns of every kind that the format holds; each has a type.
        batch: at least three distinct rows of this schema that the format holds, NULL among the values where it can.
        options: the format's options.
        last_record_may_lack_its_end: whether the end of the input also ends a record.
        pieces: in how many ways `check` cuts the bytes into pieces, each with its own seed.
        damaged: how many damaged copies of the records it tries.
    """

    format: Format
    schema: TableSchema
    batch: Batch
    options: Options
    last_record_may_lack_its_end: bool = True
    pieces: int = 10
    damaged: int = 50

    def check(self) -> None:
        """Run every check."""
        self.check_options_are_described()
        self.check_bounds_are_exact()
        self.check_columns_come_back()
        self.check_records_stand_alone()
        self.check_needed_fields_alone()
        self.check_nothing()
        for seed in range(self.pieces):
            self.check_pieces(seed)
        for seed in range(self.damaged):
            self.check_damage(seed)
        self.check_a_neighbour_that_is_damaged()
        self.check_a_record_without_end()
        self.check_reading_on()

    def check_options_are_described(self) -> None:
        """Every option says what it is for."""
        for info in describe_options(self.format.options):
            assert info.description.endswith("."), f'option "{info.name}" is described by a sentence'

    def check_bounds_are_exact(self) -> None:
        """One record per row, side by side, and no others; a batch may be encoded in parts."""
        encoder = self.format.encoder(self.schema, self.options)
        whole = encoder.encode(self.batch)
        assert whole.bounds.dtype == np.int64, "bounds are int64"
        assert len(whole.bounds) == self.batch.rows + 1, "one record per row"
        assert int(whole.bounds[0]) == 0, "the first record begins with the data"
        assert int(whole.bounds[-1]) == len(whole.data), "the last record ends with the data"
        assert bool((np.diff(whole.bounds) > 0).all()), "a record has at least its line end"
        alone = [encoder.encode(self.batch.slice(row, row + 1)).data for row in range(self.batch.rows)]
        cut = [whole.data[start:end] for start, end in zip(whole.bounds.tolist(), whole.bounds[1:].tolist(), strict=False)]
        assert alone == cut, "a row is the same record whatever stands beside it"

    def check_columns_come_back(self) -> None:
        """What was encoded decodes to the same columns."""
        data = self._bytes()
        decoder = self._decoder()
        decoded = decoder.decode(data, decoder.split(data, final=True))
        assert decoded.rejects == (), f"what was encoded decodes: {decoded.rejects[:1]}"
        assert decoded.records is None, "without rejects there is no need to say which records became rows"
        self._expect(decoded, self.batch)

    def check_records_stand_alone(self) -> None:
        """A decoder takes records whose bounds it did not find itself."""
        encoded = self.format.encoder(self.schema, self.options).encode(self.batch)
        decoder = self._decoder()
        header = self.format.encoder(self.schema, self.options).header()
        if header:
            decoder.split(header, final=False)
        for row in range(self.batch.rows):
            decoded = decoder.decode(encoded.data, encoded.bounds[row : row + 2])
            self._expect(decoded, self.batch.slice(row, row + 1))

    def check_needed_fields_alone(self) -> None:
        """Reading one field, or none, gives the rows of all."""
        data = self._bytes()
        for fields in (*((item,) for item in self.schema.fields), ()):
            wanted = TableSchema(fields)
            decoder = self.format.decoder(wanted, self.schema, self.options)
            decoded = decoder.decode(data, decoder.split(data, final=True))
            self._expect(decoded, self.batch.with_columns({item.name: self.batch.columns[item.name] for item in fields}))

    def check_nothing(self) -> None:
        """No bytes are no records, and no rows no bytes."""
        decoder = self._decoder()
        for final in (False, True):
            bounds = decoder.split(b"", final=final)
            assert bounds.tolist() == [0], "no bytes hold no record"
            self._expect(decoder.decode(b"", bounds), self.batch.slice(0, 0))
        encoded = self.format.encoder(self.schema, self.options).encode(self.batch.slice(0, 0))
        assert encoded.data == b"", "no rows are no bytes"
        assert encoded.bounds.tolist() == [0], "no rows have no bounds but the beginning"

    def check_pieces(self, seed: int) -> None:
        """However the bytes come in pieces, the records are the same."""
        data = self._bytes()
        pieces = list(_pieces(data, random.Random(seed)))
        assert list(_read(self._decoder(), pieces)) == list(_read(self._decoder(), [data])), f"pieces of sizes {[len(piece) for piece in pieces]}"
        if self.last_record_may_lack_its_end:
            shorter = list(_read(self._decoder(), [data[:-1]]))
            assert len(shorter) == self.batch.rows, "the end of the input ends the last record"

    def check_damage(self, seed: int) -> None:
        """Whatever a byte becomes, nothing is raised, and every record is a row or a reject."""
        generator = random.Random(seed)
        data = bytearray(self._bytes())
        for _ in range(generator.choice((1, 2, 20))):
            where = generator.randrange(len(data))
            match generator.randrange(4):
                case 0:
                    data[where] = generator.randrange(256)
                case 1:
                    del data[where : where + generator.randrange(1, 9)]
                case 2:
                    data[where:where] = generator.randbytes(3)
                case _:
                    data[where:where] = generator.choice((b"\n", b'"', b"{", b"}", b",", b"\r\n", b"\\", b"\x00", b"]", b"\xc3"))
            data = data or bytearray(b"\n")
        damaged = bytes(data)
        decoder = self._decoder()
        bounds = decoder.split(damaged, final=True)
        _check_sound(decoder.decode(damaged, bounds), len(bounds) - 1)
        assert int(bounds[-1]) == len(damaged), "at the end of the input nothing waits"

    def check_a_neighbour_that_is_damaged(self) -> None:
        """A record that is rejected leaves the rows around it as they were."""
        encoded = self.format.encoder(self.schema, self.options).encode(self.batch)
        header = self.format.encoder(self.schema, self.options).header()
        for row in range(self.batch.rows):
            start = int(encoded.bounds[row])
            huge = b"x" * (RECORD_BYTES_MAX + 1) + b"\n"
            data = encoded.data[:start] + huge + encoded.data[start:]
            bounds = np.concatenate([encoded.bounds[: row + 1], encoded.bounds[row:] + len(huge)])
            decoder = self._decoder()
            if header:
                decoder.split(header, final=False)
            decoded = decoder.decode(data, bounds)
            _check_sound(decoded, self.batch.rows + 1)
            assert [(found.index, found.reason) for found in decoded.rejects] == [(row, "too_large")], "a record that is too large is rejected"
            assert decoded.records is not None
            assert decoded.records.tolist() == [index for index in range(self.batch.rows + 1) if index != row]
            self._expect(decoded, self.batch)

    def check_a_record_without_end(self) -> None:
        """A record that outgrows the limit is cut and rejected once, and reading goes on behind its end."""
        good = self._bytes()
        piece = b"x" * (RECORD_BYTES_MAX // 3)
        decoder = self._decoder()
        decoded = [self._decode(decoder, data, bounds) for data, bounds in _blocks(decoder, [good, *[piece] * 8, b"x\n" + self._records()])]
        rejected = [found.reason for one in decoded for found in one.rejects]
        assert rejected == ["too_large"], f"one record is rejected, not {rejected}"
        assert sum(one.rows for one in decoded) == 2 * self.batch.rows, "the records before and behind it are read"

    def check_reading_on(self) -> None:
        """A decoder that takes a snapshot back reads on from any record."""
        encoder = self.format.encoder(self.schema, self.options)
        encoded, header = encoder.encode(self.batch), encoder.header()
        first = self._decoder()
        first.split(header + encoded.data, final=True)
        for row in range(1, self.batch.rows):
            decoder = self._decoder()
            decoder.restore(first.snapshot())
            rest = encoded.data[int(encoded.bounds[row]) :]
            self._expect(decoder.decode(rest, decoder.split(rest, final=True)), self.batch.slice(row, self.batch.rows))

    def _decoder(self) -> Decoder:
        return self.format.decoder(self.schema, self.schema, self.options)

    def _records(self) -> bytes:
        return self.format.encoder(self.schema, self.options).encode(self.batch).data

    def _bytes(self) -> bytes:
        """A file that holds the rows."""
        return self.format.encoder(self.schema, self.options).header() + self._records()

    def _decode(self, decoder: Decoder, data: bytes, bounds: Int64s) -> Decoded:
        decoded = decoder.decode(data, bounds)
        _check_sound(decoded, len(bounds) - 1)
        return decoded

    def _expect(self, decoded: Decoded, batch: Batch) -> None:
        _check_sound(decoded, decoded.rows + len(decoded.rejects))
        assert decoded.rows == batch.rows, f"{decoded.rows} rows, not {batch.rows}"
        for name, column in batch.columns.items():
            found, wanted = decoded.columns[name].series(name), column.series(name)
            assert found.dtype == wanted.dtype, f'column "{name}" has the type {found.dtype}, not {wanted.dtype}'
            assert found.equals(wanted, null_equal=True), f'column "{name}" is {found.to_list()}, not {wanted.to_list()}'
        assert set(decoded.columns) == set(batch.columns), "the columns are those of the schema to read"


def _check_sound(decoded: Decoded, records: int) -> None:
    """What holds for everything that is decoded."""
    assert decoded.rows + len(decoded.rejects) == records, "every record is a row or a reject"
    for name, column in decoded.columns.items():
        assert len(column) == decoded.rows, f'column "{name}" has one value per row'
    rejected = [found.index for found in decoded.rejects]
    assert rejected == sorted(set(rejected)), "rejects ascend"
    for found in decoded.rejects:
        assert found.reason in get_args(Reason), f"no reason {found.reason}"
        assert 0 < len(found.detail) <= REJECT_DETAIL_CHARS_MAX, "a detail says something, briefly"
    if decoded.records is None:
        assert not rejected, "with rejects it must be said which records became rows"
        return
    together = np.concatenate([decoded.records, np.array(rejected, dtype=np.int64)])
    assert bool((np.diff(decoded.records) > 0).all()), "the records of the rows ascend"
    assert sorted(together.tolist()) == list(range(records)), "every record is a row or a reject, once"


def _pieces(data: bytes, generator: random.Random) -> Iterator[bytes]:
    size = generator.choice((1, 3, 20, 100))
    position = 0
    while position < len(data):
        length = generator.randint(1, 2 * size)
        yield data[position : position + length]
        position += length


def _blocks(decoder: Decoder, pieces: list[bytes]) -> Iterator[tuple[bytes, Int64s]]:
    """What the engine hands to `decode`: each piece behind what was left of the one before."""
    rest = b""
    for number, piece in enumerate(pieces):
        data = rest + piece
        bounds = decoder.split(data, final=number == len(pieces) - 1)
        assert len(bounds) > 0, "there is always one bound"
        assert bool((np.diff(bounds) > 0).all()), "no record is empty, its line end included"
        yield data, bounds
        rest = data[int(bounds[-1]) :]
        assert len(rest) <= RECORD_BYTES_MAX, "no more than one record waits for its end"
    assert not rest, "at the end of the input nothing waits"


def _read(decoder: Decoder, pieces: list[bytes]) -> Iterator[bytes]:
    """The records of a stream."""
    for data, bounds in _blocks(decoder, pieces):
        yield from (data[start:end] for start, end in zip(bounds.tolist(), bounds[1:].tolist(), strict=False))
