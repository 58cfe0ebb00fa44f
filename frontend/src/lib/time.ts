// Times as a person says them.

import { t } from '../text'

/** Such as `8 seconds` or `3 minutes`; rounded, because it is an estimate. */
export function spokenTime(seconds: number): string {
  if (seconds < 100) return t.progress.seconds(Math.max(1, Math.round(seconds)))
  return t.progress.minutes(Math.round(seconds / 60))
}
