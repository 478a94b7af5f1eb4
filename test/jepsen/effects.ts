import pg from 'pg';
import { TemporaryError } from '../../lib/index.js';
import { withoutSchema } from '../support/postgres.js';

/** What functions did, told by themselves: a row for each run of a leaf, and of the step of a sum. */
export class Effects {
  private readonly pool: pg.Pool;

  constructor(
    url: string,
    private readonly schema: string,
  ) {
    this.pool = new pg.Pool({ connectionString: withoutSchema(url), max: 4 });
    // One that breaks while nobody uses it is replaced.
    this.pool.on('error', () => undefined);
  }

  /** @throws TemporaryError when the server cannot be reached: the run is made again */
  async add(call: string, attempt: number, path: string): Promise<void> {
    try {
      await this.pool.query(`INSERT INTO ${this.schema}.effects VALUES ($1, $2, $3, $4)`, [
        call,
        attempt,
        path,
        process.pid,
      ]);
    } catch (error) {
      throw new TemporaryError(`the effect of ${path} could not be noted`, { cause: error });
    }
  }

  close(): Promise<void> {
    return this.pool.end();
  }
}
