// Where the person is: five destinations, and what stands behind them in the address (`#/gallery/ID`).

export const screens = ['create', 'edit', 'gallery', 'models', 'system'] as const
export type Screen = (typeof screens)[number]

/** The destination and the rest of an address's hash; anything unknown is Create. */
export function readHash(hash: string): { screen: Screen; rest: string[] } {
  const [first = '', ...rest] = hash
    .replace(/^#?\/?/, '')
    .split('/')
    .map((part) => {
      try {
        return decodeURIComponent(part)
      } catch {
        return part
      }
    })
  return { screen: screens.find((name) => name === first) ?? 'create', rest: rest.filter((part) => part !== '') }
}

/** The address of a destination, for links. */
export function hashOf(screen: Screen, ...rest: string[]): string {
  return `#/${[screen, ...rest].map(encodeURIComponent).join('/')}`
}

class Route {
  private hash = $state(window.location.hash)
  private parts = $derived(readHash(this.hash))
  screen = $derived(this.parts.screen)
  /** What stands behind the destination, such as a picture's id. */
  rest = $derived(this.parts.rest)

  constructor() {
    window.addEventListener('hashchange', () => (this.hash = window.location.hash))
  }

  go(screen: Screen, ...rest: string[]): void {
    this.hash = hashOf(screen, ...rest)
    window.location.hash = this.hash
  }
}

export const route = new Route()
