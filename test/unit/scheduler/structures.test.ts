import { describe, expect, it } from '@jest/globals';
import { Deque } from '../../../lib/scheduler/core/deque.js';
import { childId, isDispatchId, keyedId, namespaceOf, namespaceTag, rootId } from '../../../lib/scheduler/core/ids.js';
import { secureRandom } from '../../../lib/scheduler/core/random.js';
import { TimerHeap } from '../../../lib/scheduler/core/timer-heap.js';
import { seeded } from '../../support/seeded.js';

describe('a timer heap', () => {
  it('gives items by time, however they were added, moved and removed', () => {
    const random = seeded(7);
    const heap = new TimerHeap<{ at: number; heapIndex: number }>();
    const items = Array.from({ length: 500 }, () => ({ at: 0, heapIndex: -1 }));
    for (const item of items) heap.set(item, Math.floor(random() * 1_000));
    for (const item of items) if (random() < 0.5) heap.set(item, Math.floor(random() * 1_000));
    const removed = items.filter(() => random() < 0.3);
    for (const item of removed) heap.remove(item);
    for (const item of removed) heap.remove(item);
    const taken: number[] = [];
    for (let item = heap.peek(); item !== undefined; item = heap.peek()) {
      taken.push(item.at);
      heap.remove(item);
    }
    expect(taken).toHaveLength(items.length - removed.length);
    expect(taken).toEqual([...taken].sort((a, b) => a - b));
    expect(heap.size).toBe(0);
  });
});

describe('a deque', () => {
  it('keeps order and size', () => {
    const random = seeded(3);
    const deque = new Deque<number>();
    const model: number[] = [];
    for (let step = 0; step < 5_000; step++) {
      const choice = random();
      if (choice < 0.5) {
        deque.push(step);
        model.push(step);
      } else if (choice < 0.8) expect(deque.shift()).toBe(model.shift());
      else {
        const count = Math.floor(random() * 4);
        deque.drop(count);
        model.splice(0, count);
      }
      expect([deque.size, deque.at(0), deque.at(2)]).toEqual([model.length, model[0], model[2]]);
    }
  });
});

describe('ids', () => {
  it('of children follow from parent, incarnation and number, and keep the time of the root', () => {
    const root = rootId(1_700_000_000_000, seeded(1));
    const ids = [childId(root, root, 1, 1n), childId(root, root, 1, 2n), childId(root, root, 2, 1n)];
    expect(new Set(ids).size).toBe(3);
    expect(childId(root, root, 1, 1n)).toBe(ids[0]);
    for (const id of ids) expect(id).toMatch(new RegExp(`^${root.slice(0, 12)}[0-9a-f]{20}$`));
  });

  it('of roots differ', () => {
    const random = secureRandom();
    expect(new Set(Array.from({ length: 10_000 }, () => rootId(0, random))).size).toBe(10_000);
  });
});

describe('a namespace', () => {
  it('is told by the id of a root, a new one and one of a key', () => {
    const orders = namespaceTag('orders');
    expect(orders).toMatch(/^[0-9a-f]{6}$/);
    expect(namespaceTag('mails')).not.toBe(orders);
    for (const namespace of ['', orders]) {
      for (const id of [rootId(1_700_000_000_000, secureRandom(), namespace), keyedId('a', namespace)]) {
        expect(isDispatchId(id)).toBe(true);
        expect(namespaceOf(id)).toBe(namespace);
      }
    }
    expect(keyedId('a', orders)).not.toBe(keyedId('a', ''));
    expect(keyedId('a', orders)).not.toBe(keyedId('b', orders));
  });

  it('is none for no key that has none', () => {
    for (let n = 0; n < 1_000; n++) expect(namespaceOf(keyedId(`${n}`, ''))).toBe('');
  });

  it('leaves ids their time and their randomness', () => {
    const orders = namespaceTag('orders');
    const ids = Array.from({ length: 1_000 }, () => rootId(1_700_000_000_000, secureRandom(), orders));
    expect(new Set(ids).size).toBe(1_000);
    for (const id of ids) expect(parseInt(id.slice(0, 12), 16)).toBe(1_700_000_000_000);
  });
});
