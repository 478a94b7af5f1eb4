interface Event {
  readonly at: number;
  readonly order: number;
  action: (() => void) | undefined;
}

export interface Scheduled {
  cancel(): void;
}

/** All that is going to happen, by time; what is due at the same time in an order that the seed decides. */
export class EventQueue {
  /** Milliseconds since the simulation began, with fractions. It never goes back. */
  now = 0;
  private readonly heap: Event[] = [];

  constructor(private readonly random: () => number) {}

  get size(): number {
    return this.heap.length;
  }

  /** When the next event is due; Infinity when there is none. */
  get next(): number {
    this.dropCancelled();
    return this.heap[0]?.at ?? Infinity;
  }

  schedule(delay: number, action: () => void): Scheduled {
    const event: Event = { at: this.now + Math.max(0, delay), order: this.random(), action };
    this.push(event);
    return { cancel: () => void (event.action = undefined) };
  }

  /** Moves on to the next event and lets it happen; false when there is none. */
  step(): boolean {
    this.dropCancelled();
    const event = this.pop();
    if (event === undefined) return false;
    this.now = event.at;
    event.action?.();
    return true;
  }

  private dropCancelled(): void {
    while (this.heap.length > 0 && this.heap[0]?.action === undefined) this.pop();
  }

  private push(event: Event): void {
    const { heap } = this;
    let index = heap.push(event) - 1;
    while (index > 0) {
      const up = (index - 1) >> 1;
      const parent = heap[up];
      if (parent === undefined || !isBefore(event, parent)) break;
      heap[index] = parent;
      index = up;
    }
    heap[index] = event;
  }

  private pop(): Event | undefined {
    const { heap } = this;
    const first = heap[0];
    const last = heap.pop();
    if (last === undefined || last === first) return first;
    let index = 0;
    for (;;) {
      const left = heap[2 * index + 1];
      const right = heap[2 * index + 2];
      if (left === undefined) break;
      const [child, place] =
        right !== undefined && isBefore(right, left) ? [right, 2 * index + 2] : [left, 2 * index + 1];
      if (!isBefore(child, last)) break;
      heap[index] = child;
      index = place;
    }
    heap[index] = last;
    return first;
  }
}

const isBefore = (a: Event, b: Event): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);
