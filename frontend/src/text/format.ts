// Numbers, sizes, dates and plurals as a language writes them; all of it by Intl.

export interface Format {
  /** Such as `12,345` or `12.345`; at most `digits` behind the point. */
  number: (value: number, digits?: number) => string
  /** The form that belongs to `count`, with `#` replaced by the number. */
  plural: (count: number, forms: { one: string; other: string }) => string
  /** A size such as `1.8 GiB`. */
  bytes: (value: number) => string
  /** Such as `65 %`, from a share of 1. */
  percent: (share: number) => string
  /** Date and time of an RFC 3339 text; the text itself when it is none. */
  moment: (rfc3339: string) => string
  /** Such as `3 hr, 12 min`, from seconds; two units at most. */
  duration: (seconds: number) => string
}

export function formats(locale: string): Format {
  const numbers = new Map<number, Intl.NumberFormat>()
  const number = (value: number, digits = 0): string => {
    const known = numbers.get(digits) ?? new Intl.NumberFormat(locale, { maximumFractionDigits: digits })
    numbers.set(digits, known)
    return known.format(value)
  }
  const rules = new Intl.PluralRules(locale)
  const percent = new Intl.NumberFormat(locale, { style: 'percent', maximumFractionDigits: 0 })
  const moment = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'short' })
  const unit = (value: number, name: string): string =>
    new Intl.NumberFormat(locale, { style: 'unit', unit: name, unitDisplay: 'short' }).format(value)
  return {
    number,
    plural: (count, forms) => (rules.select(count) === 'one' ? forms.one : forms.other).replace('#', number(count)),
    bytes: (value) => {
      const names = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
      let at = 0
      let rest = Math.max(0, value)
      while (rest >= 1024 && at < names.length - 1) {
        rest /= 1024
        at += 1
      }
      return `${number(rest, rest < 10 && at > 0 ? 1 : 0)} ${names[at]}`
    },
    percent: (share) => percent.format(share),
    moment: (rfc3339) => {
      const time = new Date(rfc3339)
      return Number.isNaN(time.getTime()) ? rfc3339 : moment.format(time)
    },
    duration: (seconds) => {
      const all = Math.max(0, Math.round(seconds))
      const [days, hours, minutes] = [Math.floor(all / 86_400), Math.floor(all / 3600) % 24, Math.floor(all / 60) % 60]
      const parts: [number, string][] = [
        [days, 'day'],
        [hours, 'hour'],
        [minutes, 'minute'],
        [all % 60, 'second'],
      ]
      const first = parts.findIndex(([count]) => count > 0)
      if (first < 0) return unit(0, 'second')
      return parts
        .slice(first, first + 2)
        .filter(([count]) => count > 0)
        .map(([count, name]) => unit(count, name))
        .join(' ')
    },
  }
}
