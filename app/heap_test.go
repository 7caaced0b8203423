package app

import "testing"

func TestPercentFor(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for live, want := range map[uint64]int{
		0: 400, 10 * mib: 400, 64 * mib: 400, 128 * mib: 200, 256 * mib: 100,
		512 * mib: 50, 8192 * mib: 50,
	} {
		if got := percentFor(live); got != want {
			t.Errorf("with %d MiB live: %d, want %d", live/mib, got, want)
		}
	}
}
