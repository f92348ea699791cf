import { parse } from "csv-parse/sync";
import fc from "fast-check";
import { expect, test } from "vitest";
import { CsvRecords } from "../../src/data/csv-records.ts";
import { DecimalReader } from "../../src/data/decimal.ts";

/** All fields, the text given in pieces of so many bytes. */
function recordsOf(text: string, pieceBytes: number, delimiter = ","): readonly (readonly string[])[] {
  const records: string[][] = [];
  const reader = new CsvRecords(delimiter, (record) => {
    records.push(Array.from({ length: record.fields }, (_, field) => record.text(field)));
  });
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += pieceBytes) reader.push(bytes.subarray(at, at + pieceBytes));
  reader.end();
  return records;
}

const field = fc.oneof(
  fc.string({ unit: fc.constantFrom("a", "1", ".", "-", "é", "🐧", "x"), maxLength: 5 }),
  fc
    .string({ unit: fc.constantFrom("a", ",", "\n", "\r\n", '"', ";", "é"), maxLength: 6 })
    .map((text) => `"${text.replaceAll('"', '""')}"`),
);

test("cuts records as csv-parse does, wherever the pieces of the file end", () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(field, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 6 }),
      fc.constantFrom("\n", "\r\n"),
      fc.constantFrom(",", ";", "\t", "|"),
      fc.boolean(),
      fc.integer({ min: 1, max: 40 }),
      (rows, lineEnd, delimiter, endsWithLine, pieceBytes) => {
        const text = rows.map((row) => row.join(delimiter)).join(lineEnd) + (endsWithLine ? lineEnd : "");
        const options = { bom: true, delimiter, relax_column_count: true, skip_empty_lines: true };
        const expected: string[][] = parse(text, { ...options, record_delimiter: ["\r\n", "\n"] });
        expect(recordsOf(text, pieceBytes, delimiter)).toEqual(
          expected.map((record) => record.map((text) => text.trim())),
        );
      },
    ),
    { numRuns: 500, seed: 7 },
  );
});

test("counts the lines that quoted fields take", () => {
  const lines: number[] = [];
  const reader = new CsvRecords(",", ({ line }) => lines.push(line));
  reader.push(Buffer.from('a,"b\nc\n"\n\nd,e\r\n"\n",f\ng'));
  reader.end();
  expect(lines).toEqual([1, 5, 6, 8]);
});

test("reads decimal numbers as Number does, bit for bit", () => {
  const reader = new DecimalReader();
  const text = fc
    .tuple(
      fc.constantFrom("", "-", "+"),
      fc.string({ unit: fc.constantFrom(..."0123456789"), maxLength: 12 }),
      fc.constantFrom("", "."),
      fc.string({ unit: fc.constantFrom(..."0123456789"), maxLength: 12 }),
    )
    .map((parts) => parts.join(""));
  let read = 0;
  fc.assert(
    fc.property(text, (number) => {
      const bytes = Buffer.from(` ${number}\t`);
      const value = reader.read(bytes, 0, bytes.length);
      if (Number.isNaN(value)) return;
      read++;
      expect(Object.is(value, Number(number)), `${number}: ${value}`).toBe(true);
      expect(reader.isWhole).toBe(!number.includes("."));
    }),
    { numRuns: 4000, seed: 7 },
  );
  expect(read).toBeGreaterThan(2000);
  for (const other of ["", ".", "-", "1.2.3", "1e5", "0x1", "1 2", "nan", "1_0"]) {
    expect(reader.read(Buffer.from(other), 0, other.length), other).toBeNaN();
  }
});
