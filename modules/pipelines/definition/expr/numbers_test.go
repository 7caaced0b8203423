package expr_test

import (
	"strings"
	"testing"
)

// TestExactNumbers checks that numbers of 64 bits are exact and that others are errors.
func TestExactNumbers(t *testing.T) {
	tests := map[string]string{
		`${{ 9007199254740993 == 9007199254740992.0 }}`:           `false`,
		`${{ 9007199254740992 == 9007199254740992.0 }}`:           `true`,
		`${{ input.big in [9007199254740992.0] }}`:                `false`,
		`${{ input.big != 9007199254740992.0 }}`:                  `true`,
		`${{ input.big * 3 }}`:                                    `27021597764222979`,
		`${{ -input.big }}`:                                       `-9007199254740993`,
		`${{ abs(-input.big) }}`:                                  `9007199254740993`,
		`${{ sum([input.big, 1, -2]) }}`:                          `9007199254740992`,
		`${{ input.big % 10 }}`:                                   `3`,
		`${{ (input.big - 3) / 10 }}`:                             `900719925474099`,
		`${{ 2 ** 62 }}`:                                          `4611686018427387904`,
		`${{ max(9007199254740992.0, input.big) }}`:               `9007199254740993`,
		`${{ -9223372036854775807 - 1 }}`:                         `-9223372036854775808`,
		`${{ int("9223372036854775807") }}`:                       `9223372036854775807`,
		`${{ fromJSON("1.10") }}`:                                 `1.10`,
		`${{ fromJSON("[1.0,1e2,-0]") }}`:                         `[1.0,1e2,-0]`,
		`x${{ fromJSON("1.10") }}`:                                `"x1.10"`,
		`${{ fromJSON("1.10") == 1.1 }}`:                          `true`,
		`${{ fromJSON("1e2") + 1 }}`:                              `101`,
		`${{ fromJSON("12345678901234567890") > 9e18 }}`:          `true`,
		`${{ len(uniq([1, 1.0, fromJSON("1.00"), "1", true])) }}`: `3`,
		`${{ 7 / 2 }}`:                                            `3.5`,
		`${{ 0.1 + 0.2 }}`:                                        `0.30000000000000004`,
	}
	for text, want := range tests {
		if got, err := evaluate(t, text); err != nil || got != want {
			t.Errorf("%s is %s (%v), want %s", text, got, err, want)
		}
	}
	for _, text := range []string{
		`${{ input.big * input.big }}`, `${{ input.big * 1024 + input.big * 1024 }}`,
		`${{ -(-9223372036854775807 - 1) }}`,
		`${{ abs(-9223372036854775807 - 1) }}`, `${{ sum([9223372036854775807, 1]) }}`, `${{ int(1e19) }}`,
		`${{ input.big ** 5 }}`,
		`${{ (-9223372036854775807 - 1) - 1 }}`, `${{ (-9223372036854775807 - 1) / -1 }}`, `${{ needs.a.huge - 1 }}`,
	} {
		if got, err := evaluate(t, text); err == nil || !strings.Contains(err.Error(), "whole numbers range from") {
			t.Errorf("%s is %s (%v), want an error", text, got, err)
		}
	}
}
