/** An item of a ring. It knows its neighbours, so that it can be taken out in constant time. */
export interface RingItem<T> {
  /** Only the ring changes these. Undefined when it is in none. */
  next: T | undefined;
  previous: T | undefined;
}

/** Items that take turns: the first one goes behind the last one, or leaves. All of it in constant time. */
export class Ring<T extends RingItem<T>> {
  first: T | undefined = undefined;

  get isEmpty(): boolean {
    return this.first === undefined;
  }

  /** Adds an item that is in no ring, behind all others. */
  append(item: T): void {
    const { first } = this;
    if (first === undefined) {
      this.first = item;
      item.next = item;
      item.previous = item;
      return;
    }
    const last = first.previous ?? first;
    item.next = first;
    item.previous = last;
    last.next = item;
    first.previous = item;
  }

  /** All items, the last one first. The ring must not change meanwhile. */
  *fromBehind(): Generator<T, void> {
    const { first } = this;
    if (first === undefined) return;
    for (let item = first.previous; item !== undefined; item = item === first ? undefined : item.previous) yield item;
  }

  /** The first item becomes the last one. */
  rotate(): void {
    this.first = this.first?.next;
  }

  /** Takes out an item of this ring. */
  remove(item: T): void {
    const { next, previous } = item;
    item.next = undefined;
    item.previous = undefined;
    if (next === undefined || previous === undefined) return;
    if (next === item) {
      this.first = undefined;
      return;
    }
    previous.next = next;
    next.previous = previous;
    if (this.first === item) this.first = next;
  }
}
