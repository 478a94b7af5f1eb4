import { Module, type DynamicModule } from '@nestjs/common';
import { DispatchModule } from 'nestjs-dispatch';
import { AuditProgress } from './audit-progress.service.js';
import { LicenseAudit, PackageAuditor } from './license-audit.service.js';

@Module({ providers: [AuditProgress, PackageAuditor, LicenseAudit] })
export class AppModule {
  /** @param store the SQLite file of this audit */
  static with(store: string): DynamicModule {
    return { module: AppModule, imports: [DispatchModule.forRoot({ scheduler: { store } })] };
  }
}
