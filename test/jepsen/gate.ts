import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Place } from '../support/wire.js';

/** The network between one process and the server: it can be cut, hold everything up, or let nobody through. */
export class Gate {
  private isShut = false;
  private isHeld = false;
  private readonly passages = new Set<Passage>();

  private constructor(
    private readonly listener: Server,
    readonly port: number,
  ) {}

  /** @param placeOf where the server is now */
  static async to(placeOf: () => Place): Promise<Gate> {
    const listener = createServer((client) => gate.admit(client, placeOf()));
    await once(listener.listen(0, '127.0.0.1'), 'listening');
    const gate = new Gate(listener, (listener.address() as AddressInfo).port);
    return gate;
  }

  /** How many bytes of the process wait while it is held. */
  get waiting(): number {
    return [...this.passages].reduce((sum, { waiting }) => sum + waiting, 0);
  }

  /** All is lost that is under way, in either direction. */
  cut(): number {
    const { size } = this.passages;
    for (const passage of this.passages) passage.cut();
    return size;
  }

  /** Nothing gets through until `open`, and nothing is lost: what is sent meanwhile arrives then, late. */
  hold(): void {
    this.isHeld = true;
    for (const passage of this.passages) passage.hold();
  }

  /** Connections are cut, and refused until `open`. */
  shut(): void {
    this.isShut = true;
    this.cut();
  }

  open(): void {
    this.isShut = false;
    this.isHeld = false;
    for (const passage of this.passages) passage.release();
  }

  close(): void {
    this.listener.close();
    this.cut();
  }

  private admit(client: Socket, place: Place): void {
    if (this.isShut) return void client.destroy();
    const passage = new Passage(client, connect(place), () => this.passages.delete(passage));
    this.passages.add(passage);
    if (this.isHeld) passage.hold();
  }
}

/** One connection. */
class Passage {
  private held: [Socket, Buffer][] | undefined;

  constructor(
    private readonly client: Socket,
    private readonly server: Socket,
    onEnd: () => void,
  ) {
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      from.on('data', (bytes: Buffer) => this.pass(to, bytes));
      from.on('error', () => this.cut());
      from.on('close', () => {
        this.cut();
        onEnd();
      });
    }
  }

  get waiting(): number {
    return (this.held ?? []).reduce((sum, [to, bytes]) => (to === this.server ? sum + bytes.length : sum), 0);
  }

  cut(): void {
    this.client.destroy();
    this.server.destroy();
  }

  hold(): void {
    this.held ??= [];
  }

  release(): void {
    const held = this.held ?? [];
    this.held = undefined;
    for (const [to, bytes] of held) to.write(bytes);
  }

  private pass(to: Socket, bytes: Buffer): void {
    if (this.held) this.held.push([to, bytes]);
    else to.write(bytes);
  }
}
