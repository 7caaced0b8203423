// Writes what npm's croner computes for random expressions, zones and instants, one case a line: expression, zone,
// instant and the next two due times, in seconds since 1970. TestCroner compares them. The cases are the same each time.
//
//   npm install --no-package-lock && node generate.mjs | gzip -9n > ../croner.tsv.gz && rm -r node_modules
//
// It was last run with Node.js 20 and its zone data 2025c.
import { Cron } from 'croner'

const cases = 12000
const years = [1990, 2024] // what zones did in the past does not change with their data

// The zones, those with unusual clock changes first: half an hour; summer time that is negative; at midnight; across
// midnight; a day that does not exist; in the southern hemisphere; twice a year besides summer time; none at all.
const zones = [
  'Australia/Lord_Howe', 'Europe/Dublin', 'America/Santiago', 'America/Nuuk', 'Pacific/Apia', 'America/Sao_Paulo',
  'Africa/Casablanca', 'Europe/Berlin', 'America/New_York', 'Europe/London', 'Asia/Tehran', 'America/Havana',
  'Asia/Beirut', 'Antarctica/Troll', 'Asia/Kathmandu', 'Europe/Istanbul', 'Asia/Amman', 'UTC',
]

// xorshift: numbers that are the same on every machine.
let state = 20261127
function random(n) {
  state ^= state << 13; state ^= state >>> 17; state ^= state << 5
  return (state >>> 0) % n
}
const pick = list => list[random(list.length)]
const between = (a, b) => a + random(b - a + 1)

function offset(zone, at) {
  const parts = new Intl.DateTimeFormat('en-US', {
    timeZone: zone, hourCycle: 'h23', year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric',
    minute: 'numeric', second: 'numeric',
  }).formatToParts(new Date(at * 1000))
  const n = Object.fromEntries(parts.map(p => [p.type, +p.value]))
  return Date.UTC(n.year, n.month - 1, n.day, n.hour, n.minute, n.second) / 1000 - at
}

// changes returns the instants within the years at which a zone's clocks change.
function changes(zone) {
  const day = 86400, list = []
  const end = Date.UTC(years[1], 11, 31) / 1000
  for (let at = Date.UTC(years[0], 0, 1) / 1000; at < end; at += day) {
    let low = at, high = at + day
    if (offset(zone, low) === offset(zone, high)) continue
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2)
      if (offset(zone, middle) === offset(zone, low)) low = middle
      else high = middle
    }
    list.push(high)
  }
  return list
}

// item returns a part of a field: a value, a range or a step.
function item(min, max, names) {
  const name = n => names && random(3) === 0 ? pick([x => x, x => x.toLowerCase()])(names[n - min]) : String(n)
  const a = between(min, max), b = between(a, max)
  switch (random(6)) {
    case 0: return `*/${between(1, Math.min(max, 24))}`
    case 1: return `${name(a)}-${name(b)}`
    case 2: return `${a}-${b}/${between(1, max)}`
    default: return name(a)
  }
}

function field(min, max, names) {
  return Array.from({ length: pick([1, 1, 1, 2, 3]) }, () => item(min, max, names)).join(',')
}

const months = ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC']
const weekdays = ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT']

// expression returns an expression; one that is due near a clock change if hour is the local one of that.
function expression(hour) {
  const minute = pick(['*', '0', '30', String(random(60)), `*/${pick([5, 10, 15, 20, 30, 7])}`, field(0, 59)])
  if (hour !== undefined) {
    const later = Math.min(hour + between(1, 3), 23), step = between(2, 12)
    const hours = pick(['*', '0-23', String(hour), String(hour), `${later},${hour}`, `${hour}-${later}`,
      `${between(0, hour)}-${later}`, `*/${step}`, `${hour % step}-23/${step}`])
    const days = pick([['*', '*', '*'], ['*', '*', '*'], ['*', '*', '*'],
      [field(1, 31), '*', '*'], ['*', '*', field(0, 6, weekdays)], [field(1, 31), '*', field(0, 6, weekdays)]])
    return [minute, hours, ...days].join(' ')
  }
  const hours = pick(['*', '0-23', String(between(0, 3)), `${random(2)},${between(2, 4)}`,
    `${random(3)}-${between(3, 23)}`, `*/${between(2, 12)}`, '23', field(0, 23)])
  const day = pick(['*', '*', '*', '*', field(1, 31)])
  const month = pick(['*', '*', '*', '*', field(1, 12, months)])
  const weekday = pick(['*', '*', '*', '*', field(0, 6, weekdays)])
  return [minute, hours, day, month, weekday].join(' ')
}

const known = Object.fromEntries(zones.map(zone => [zone, changes(zone)]))

// near returns an instant some hours before or after a clock change, and an expression that is due then.
function near(zone) {
  const change = pick(known[zone])
  const local = change + offset(zone, change + pick([-1, 0])) - pick([0, 0, 0, 3600])
  return [change + between(-3 * 3600, 3600), expression(Math.floor(local / 3600) % 24)]
}

const lines = new Set()
while (lines.size < cases) {
  const zone = pick(zones)
  const [at, text] = random(3) > 0 && known[zone].length > 0 ? near(zone)
    : [between(Date.UTC(years[0], 0, 1) / 1000, Date.UTC(years[1], 0, 1) / 1000), expression()]
  const cron = new Cron(text, { timezone: zone, fixedTimeRule: 'no-wildcard', mode: '5-part', paused: true })
  const due = cron.nextRuns(2, new Date(at * 1000)).map(d => d.getTime() / 1000)
  lines.add([text, zone, at, ...due].join('\t'))
}
process.stdout.write([...lines].join('\n') + '\n')
