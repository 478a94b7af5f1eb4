import { afterEach } from '@jest/globals';
import type { Script } from '../unit/scheduler/world.js';
import { Member, type MemberOptions } from './fleet.js';
import type { TestDatabase } from './postgres.js';
import { TestTables } from './test-tables.js';

/** The schedulers of a test file, on a database of its own, in an empty store for each test. */
export class TestFleet {
  private readonly members: Member[] = [];

  private constructor(private readonly tables: TestTables) {}

  /** To be called once, at the top of a file: opens the database before its tests, and stops what they have started. */
  static use(): TestFleet {
    const fleet = new TestFleet(TestTables.use());
    afterEach(() => Promise.all(fleet.members.splice(0).map((member) => member.stop())));
    return fleet;
  }

  get database(): TestDatabase {
    return this.tables.database;
  }

  /** Where the store of the running test is. */
  get url(): string {
    return this.tables.url;
  }

  get schema(): string {
    return this.tables.schema;
  }

  async start(functions: Readonly<Record<string, Script>>, options: MemberOptions = {}): Promise<Member> {
    const member = await Member.start(this.url, functions, options);
    this.members.push(member);
    return member;
  }

  /** The first process that is there counts as dead from now on. */
  async endFirstProcess(): Promise<void> {
    const processes = `${this.schema}.processes`;
    await this.database.query(
      `UPDATE ${processes} SET ended_at = now() WHERE id = (SELECT min(id) FROM ${processes} WHERE ended_at IS NULL)`,
    );
  }
}
