/** The reversed polynomial of CRC-32C (Castagnoli; RFC 3720, appendix B.4). */
const polynomial = 0x82f63b78;

/** What a byte does to the sum. */
const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let sum = byte;
  for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? polynomial : 0);
  return sum;
});

export function crc32c(data: Uint8Array): number {
  let sum = 0xffffffff;
  for (const byte of data) sum = (sum >>> 8) ^ table[(sum ^ byte) & 0xff]!;
  return ~sum >>> 0;
}

/** As TFRecord files store it, so that the sum of data that holds sums still tells something: turned by 15 bits, plus a constant. */
export function maskedCrc32c(data: Uint8Array): number {
  const sum = crc32c(data);
  return (((sum >>> 15) | (sum << 17)) + 0xa282ead8) >>> 0;
}
