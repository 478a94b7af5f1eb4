/** Of a process: what it began goes on only while it lives, and reaches nobody once it is dead. */
export class Life {
  isAlive = true;

  end(): void {
    this.isAlive = false;
  }
}

/** What a dead process hears of what it asked for. */
export const silence = (): Promise<never> => new Promise<never>(() => undefined);
