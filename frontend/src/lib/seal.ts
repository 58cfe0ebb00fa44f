// The levels of the seal. A level that this page does not know counts as unknown, never as sealed.

export const sealLevels = ['S3', 'S2', 'S1', 'S0'] as const
export type SealLevel = (typeof sealLevels)[number] | 'unknown'

export function sealLevel(reported: string | null): SealLevel {
  return sealLevels.find((level) => level === reported) ?? 'unknown'
}
