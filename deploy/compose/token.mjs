// Writes a random control token into the control volume, once, and whole or not at all.
import { randomBytes } from 'node:crypto';
import { existsSync, renameSync, writeFileSync } from 'node:fs';

const path = '/run/postern-control/token';
if (!existsSync(path)) {
  writeFileSync(`${path}.new`, randomBytes(32).toString('base64url'), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}
