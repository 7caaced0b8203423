package orders_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"example.com/orders/orders"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/sluicetest"
)

// bank returns its errors in turn, then succeeds.
type bank struct {
	errs  []error
	keys  map[string]bool
	cents int
}

func (b *bank) Charge(_ context.Context, key string, cents int) (string, error) {
	if len(b.errs) > 0 {
		err := b.errs[0]
		b.errs = b.errs[1:]
		return "", err
	}
	if b.keys[key] {
		return "a receipt", nil
	}
	b.keys, b.cents = map[string]bool{key: true}, b.cents+cents
	return "a receipt", nil
}

func TestPrice(t *testing.T) {
	price := orders.Handlers(nil)[0]
	r := sluicetest.Handle(t, price,
		sluicetest.Call{With: orders.PriceIn{Items: []orders.Item{{Name: "tea", Count: 2}}}})
	var out orders.PriceOut
	if err := r.Decode(&out); err != nil || out.Cents != 500 || r.Stdout != "2 tea\n" {
		t.Errorf("%+v %v %q", out, err, r.Stdout)
	}
	r = sluicetest.Handle(t, price, sluicetest.Call{With: orders.PriceIn{Items: []orders.Item{{Name: "beer"}}}})
	if !r.Permanent() {
		t.Errorf("an unknown item: %v", r.Err)
	}
}

func TestClosedBankDefers(t *testing.T) {
	charge := orders.Handlers(&bank{errs: []error{orders.ErrClosed}})[1]
	now := time.Date(2026, 3, 1, 20, 0, 0, 0, time.UTC)
	r := sluicetest.Handle(t, charge, sluicetest.Call{With: orders.ChargeIn{Cents: 500}, Now: now})
	if until, ok := r.Deferred(); !ok || !until.Equal(now.Add(time.Hour)) {
		t.Errorf("%v %v", until, r.Err)
	}
}

// TestOrder runs the whole pipeline. The hour that the bank is closed, and the delays of the retries, take no time.
func TestOrder(t *testing.T) {
	b := &bank{errs: []error{errors.New("timeout"), orders.ErrClosed, errors.New("timeout")}}
	e := sluicetest.New(t, orders.Handlers(b)...)
	begun := e.Now()
	run := e.Run(orders.Pipeline(),
		orders.PriceIn{Items: []orders.Item{{Name: "tea", Count: 2}, {Name: "cake", Count: 1}}})
	if run.Status != pipelines.Completed || run.Task("charge").Attempt != 3 || b.cents != 920 {
		t.Errorf("%s; charged %d", run, b.cents)
	}
	if e.Now().Sub(begun) < time.Hour {
		t.Errorf("only %s have passed", e.Now().Sub(begun))
	}
	var out orders.ChargeOut
	if run.Decode("charge", &out); out.Receipt != "a receipt" {
		t.Errorf("%+v", out)
	}
}

func TestDeclinedOrderFails(t *testing.T) {
	e := sluicetest.New(t, orders.Handlers(&bank{errs: []error{orders.ErrDeclined}})...)
	run := e.Run(orders.Pipeline(), orders.PriceIn{Items: []orders.Item{{Name: "tea", Count: 1}}})
	if charge := run.Task("charge"); run.Status != pipelines.Failed || charge.Attempt != 1 ||
		charge.ErrorKind != tasks.KindPermanent {
		t.Error(run)
	}
}
