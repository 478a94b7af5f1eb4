import { Module, type DynamicModule } from '@nestjs/common';
import { DispatchModule } from 'nestjs-dispatch';
import { PostgresStore } from 'nestjs-dispatch/scheduler';
import { DATABASE, Ledger } from './ledger.js';
import { Shops, Tills } from './shops.js';

/** How long a killed process keeps its calls, in milliseconds: 15 s by default, which is long for a demonstration. */
const LEASE = 2_000;

@Module({ providers: [Ledger, Tills, Shops] })
export class AppModule {
  /** @param run false: dispatches and waits, and leaves the work to other processes */
  static on(database: string, { run }: { run: boolean }): DynamicModule {
    const store = new PostgresStore(database, { schema: 'fleet_sample', lease: LEASE });
    return {
      module: AppModule,
      imports: [DispatchModule.forRoot({ scheduler: { store, run } })],
      providers: [{ provide: DATABASE, useValue: database }],
    };
  }
}
