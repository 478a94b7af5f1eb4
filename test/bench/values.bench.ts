/**
 * What recording a value costs, beside JSON and beside the generated code of protobuf.
 *
 *     node --import ./test/support/ts-loader.mjs test/bench/values.bench.ts
 */
import { fromBinary, fromJson, toBinary, toJson } from '@bufbuild/protobuf';
import { ValueSchema } from '@bufbuild/protobuf/wkt';
import { pack, unpack } from '../../lib/values/index.js';

const MILLISECONDS = 300;

const order = { id: 42, name: 'hello world', tags: ['a', 'b'], total: { amount: 1.5, currency: null, paid: true } };
const orders = Array.from({ length: 200 }, (_, id) => ({ ...order, id }));

function measure(name: string, run: () => unknown): void {
  for (const warm = performance.now(); performance.now() - warm < MILLISECONDS / 3;) run();
  let rounds = 0;
  const start = performance.now();
  while (performance.now() - start < MILLISECONDS) {
    for (let round = 0; round < 10; round++) run();
    rounds += 10;
  }
  console.log(`${name.padEnd(32)} ${(((performance.now() - start) / rounds) * 1000).toFixed(2).padStart(10)} µs`);
}

const samples: [string, unknown][] = [
  ['undefined', undefined],
  ['an integer', 12_345],
  ['a string', 'https://example.com/x'],
  ['a date', new Date(1_700_000_000_000)],
  ['an order', order],
  ['200 orders', orders],
  ['a Map with an order', new Map([[1, order]])],
];
for (const [name, value] of samples) {
  const any = pack(value);
  measure(`pack ${name}`, () => pack(value));
  measure(`unpack ${name}`, () => unpack(any));
}

const text = JSON.stringify(order);
const { value: bytes } = pack(order);
measure('JSON.stringify an order', () => JSON.stringify(order));
measure('JSON.parse an order', () => JSON.parse(text) as unknown);
measure('generated code writes an order', () => toBinary(ValueSchema, fromJson(ValueSchema, order)));
measure('generated code reads an order', () => toJson(ValueSchema, fromBinary(ValueSchema, bytes)));
