// Package orders has the handlers and the pipeline of a shop. It imports sluice's contract of handlers and its
// definitions, and so links no database.
package orders

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// Bank is what the handlers need. Charge must be idempotent: a second call with the same key charges nothing.
type Bank interface {
	Charge(ctx context.Context, key string, cents int) (receipt string, err error)
}

// The errors of a Bank that the handlers distinguish from others.
var (
	ErrDeclined = errors.New("the bank declines the charge")
	ErrClosed   = errors.New("the bank is closed")
)

// Handlers returns the handlers of the pipeline.
func Handlers(bank Bank) []tasks.Handler {
	return []tasks.Handler{
		tasks.NewHandler("orders.price", price),
		tasks.NewHandler("orders.charge", charger{bank}.charge),
	}
}

// Item is one line of an order.
type Item struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}

// PriceIn is the `with` of orders.price.
type PriceIn struct {
	Items []Item `json:"items" sluice:"required"`
}

// PriceOut is the output of orders.price.
type PriceOut struct {
	Cents int `json:"cents"`
}

var prices = map[string]int{"tea": 250, "cake": 420}

func price(ctx context.Context, in PriceIn) (PriceOut, error) {
	attempt, _ := tasks.AttemptFrom(ctx)
	var out PriceOut
	for _, item := range in.Items {
		cents, ok := prices[item.Name]
		if !ok {
			return out, tasks.NonRetryable(fmt.Errorf("no such item: %q", item.Name))
		}
		out.Cents += cents * item.Count
		fmt.Fprintf(attempt.Stdout, "%d %s\n", item.Count, item.Name)
	}
	return out, nil
}

// ChargeIn is the `with` of orders.charge.
type ChargeIn struct {
	Cents int `json:"cents" sluice:"required"`
}

// ChargeOut is the output of orders.charge.
type ChargeOut struct {
	Receipt string `json:"receipt"`
}

type charger struct{ bank Bank }

// charge may run twice, for example after the loss of a worker. The key makes the second charge harmless.
func (c charger) charge(ctx context.Context, in ChargeIn) (ChargeOut, error) {
	attempt, _ := tasks.AttemptFrom(ctx)
	receipt, err := c.bank.Charge(ctx, attempt.TaskExecutionID.String(), in.Cents)
	switch {
	case errors.Is(err, ErrDeclined):
		return ChargeOut{}, tasks.NonRetryable(err)
	case errors.Is(err, ErrClosed):
		return ChargeOut{}, tasks.DeferUntil(attempt.Now().Add(time.Hour), err.Error())
	}
	return ChargeOut{Receipt: receipt}, err
}

// Pipeline returns the pipeline of an order. Its input is {"items": [{"name": "tea", "count": 2}]}.
func Pipeline() *definition.Definition {
	retry := tasks.DefaultRetryPolicy()
	retry.MaxAttempts, retry.Delay = 5, 10*time.Second
	return &definition.Definition{
		Name:  "order",
		Input: []definition.InputField{{Name: "items", Type: definition.TypeArray, Required: true}},
		Tasks: []definition.Task{
			{ID: "price", Uses: "orders.price", With: json.RawMessage(`{"items": "${{ input.items }}"}`)},
			{
				ID: "charge", Needs: []string{"price"}, Uses: "orders.charge", Retry: retry,
				With: json.RawMessage(`{"cents": "${{ needs.price.cents }}"}`),
			},
		},
	}
}

// FakeBank accepts every charge, once per key.
type FakeBank struct{}

// Charge returns a receipt that depends only on the key.
func (FakeBank) Charge(_ context.Context, key string, cents int) (string, error) {
	return fmt.Sprintf("receipt %s over %d", key[len(key)-4:], cents), nil
}
