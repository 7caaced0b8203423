package tasks

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/dig"
	"go.uber.org/fx"
)

func named(name string) Handler {
	return NewHandler(name, func(context.Context, struct{}) (struct{}, error) { return struct{}{}, nil })
}

type otherHandler struct{ Handler }

func TestRegistry(t *testing.T) {
	shell, http := named("shell"), named("http")
	r, err := NewRegistry([]Handler{shell, http})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"http", "shell"}, r.Names()); diff != "" {
		t.Error(diff)
	}
	if got, ok := r.Handler("http"); !ok || got != http {
		t.Errorf("got %v, %v", got, ok)
	}
	if got, ok := r.Handler("ftp"); ok || got != nil {
		t.Errorf("an unknown name gave %v", got)
	}
	if empty, err := NewRegistry(nil); err != nil || len(empty.Names()) != 0 {
		t.Errorf("no handlers: got %v, %v", empty, err)
	}
}

func TestRegistryLimits(t *testing.T) {
	r, err := NewRegistry([]Handler{named("free"), WithLimit(named("few"), 3), WithLimit(named("any"), 0)})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"free": 0, "few": 3, "any": 0, "unknown": 0} {
		if got := r.Limit(name); got != want {
			t.Errorf("%s: limit %d, want %d", name, got, want)
		}
	}
	if _, err := NewRegistry([]Handler{WithLimit(named("less"), -1)}); err == nil {
		t.Error("a limit below 0 was taken")
	}
}

func TestRegistryNames(t *testing.T) {
	for name, valid := range map[string]bool{
		"a": true, "http": true, "acme.mail-v2_x": true, "a" + strings.Repeat("9", 62): true,
		"": false, "Http": false, "1a": false, "a b": false, "a\n": false, "ä": false, "a/b": false, "a" +
			strings.Repeat("9", 63): false,
	} {
		if _, err := NewRegistry([]Handler{named(name)}); (err == nil) != valid {
			t.Errorf("%q: got %v", name, err)
		}
	}
}

func TestRegistryNamesEveryMistake(t *testing.T) {
	_, err := NewRegistry([]Handler{
		named("mail"), otherHandler{named("mail")}, nil, (*typedHandler[int, int])(nil), named(""), named("Bad"),
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		`two handlers are named "mail"`, "tasks.otherHandler", "a handler is nil (<nil>)",
		"a handler is nil (*tasks.typedHandler[int,int])", `handler name ""`, `handler name "Bad"`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}

func TestModuleCollectsHandlers(t *testing.T) {
	var r *Registry
	app := fx.New(
		fx.NopLogger, Module, fx.Populate(&r),
		ProvideHandler(func() Handler { return named("plain") }),
		ProvideHandler(func() otherHandler { return otherHandler{named("own.type")} }),
		ProvideHandler(func() (*otherHandler, error) { return &otherHandler{named("with-error")}, nil }),
	)
	if err := app.Err(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"own.type", "plain", "with-error"}, r.Names()); diff != "" {
		t.Error(diff)
	}
}

func TestModuleWithoutHandlers(t *testing.T) {
	var r *Registry
	if err := fx.New(fx.NopLogger, Module, fx.Populate(&r)).Err(); err != nil || len(r.Names()) != 0 {
		t.Errorf("got %v", err)
	}
}

func TestDuplicateHandlerStopsTheProgram(t *testing.T) {
	one := func() Handler { return named("mail") }
	app := fx.New(fx.NopLogger, Module, ProvideHandler(one), ProvideHandler(one), fx.Invoke(func(*Registry) {}))
	err := dig.RootCause(app.Err())
	if err == nil || !strings.HasPrefix(err.Error(), `register handlers: two handlers are named "mail"`) {
		t.Errorf("got %v, want the duplicate as the root cause", err)
	}
}
