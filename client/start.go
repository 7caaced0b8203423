package client

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
)

// StartRequest describes a run to start.
type StartRequest struct {
	// Definition was returned by definition.Parse, or has passed its method Check. The run keeps this version of it,
	// also if a worker of another program runs it.
	Definition *definition.Definition
	// Input is a JSON object, which is checked against the fields that the definition declares; nil means {}.
	Input json.RawMessage
	// IdempotencyKey, if it is not empty, makes a second start of the same pipeline with the same key and input return
	// the first run.
	IdempotencyKey string
	// Labels are added to those of the definition, and take precedence.
	Labels map[string]string
}

// Started is the result of a StartRequest.
type Started = engine.StartResult

// Start starts a run: it writes the run and its tasks in one transaction. Workers then claim them. Start returns
// pipelines.ErrInvalidArgument for a request that lacks its definition, definition.Diagnostics for an input or labels
// that are not valid, and pipelines.ErrKeyReused if the idempotency key has started a run with another input.
func (c *Client) Start(ctx context.Context, r StartRequest) (Started, error) {
	started, err := c.StartMany(ctx, []StartRequest{r})
	if err != nil {
		return Started{}, err
	}
	return started[0], nil
}

// StartMany starts several runs with few transactions, each of which writes some of them whole. It returns the results
// in the order of the requests. If a request is invalid, it starts none. If a transaction fails, it returns the error
// and the results of the runs that were started before; the caller continues with the other requests.
func (c *Client) StartMany(ctx context.Context, requests []StartRequest) ([]Started, error) {
	ctx, err := c.in(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]engine.StartRequest, len(requests))
	for i, r := range requests {
		if err := r.check(); err != nil {
			if len(requests) > 1 {
				err = fmt.Errorf("request %d: %w", i, err)
			}
			return nil, err
		}
		list[i] = engine.StartRequest{
			Definition: r.Definition, Input: r.Input, IdempotencyKey: r.IdempotencyKey, Labels: r.Labels,
			Actor: c.actor,
		}
	}
	return c.engine.Start(ctx, list)
}

// check validates everything that the engine expects to be valid.
func (r StartRequest) check() error {
	if r.Definition == nil {
		return fmt.Errorf("start: %w: the request has no definition", pipelines.ErrInvalidArgument)
	}
	if !utf8.ValidString(r.IdempotencyKey) || strings.ContainsRune(r.IdempotencyKey, 0) {
		return fmt.Errorf("start: %w: the idempotency key is not text", pipelines.ErrInvalidArgument)
	}
	if err := definition.CheckLabels(pipelines.MergedLabels(r.Definition.Labels, r.Labels)); err != nil {
		return err
	}
	_, err := r.Definition.CheckInput(r.Input)
	return err
}

// Pause pauses a run: no task of it starts after Pause has returned. Running tasks finish. reason is recorded in the
// history and may be empty. Pause returns pipelines.ErrExecutionNotFound if there is no such run, and
// pipelines.ErrInvalidState if it is not Running; so do Resume, Cancel and Retry for their states.
func (c *Client) Pause(ctx context.Context, id ID, reason string) error {
	return c.control(ctx, id, reason, c.engine.Pause)
}

// Resume continues a run that is Paused.
func (c *Client) Resume(ctx context.Context, id ID, reason string) error {
	return c.control(ctx, id, reason, c.engine.Resume)
}

// Cancel ends a run that has not ended, and its open tasks. The contexts of running handlers end, and their results are
// refused.
func (c *Client) Cancel(ctx context.Context, id ID, reason string) error {
	return c.control(ctx, id, reason, c.engine.Cancel)
}

// Retry runs an ended run again. It resets the tasks that are Failed, Abandoned or Cancelled, and all tasks that depend
// on them. If from is not empty, it resets that task, the Cancelled ones, and all that depend on them; a Completed run
// needs it. Other tasks keep their outputs. Retry returns tasks.ErrNotFound if there is no task from.
func (c *Client) Retry(ctx context.Context, id ID, from, reason string) error {
	return c.control(ctx, id, reason,
		func(ctx context.Context, r engine.ControlRequest) error { return c.engine.Retry(ctx, r, from) })
}

func (c *Client) control(
	ctx context.Context, id ID, reason string, do func(context.Context, engine.ControlRequest) error,
) error {
	ctx, err := c.in(ctx)
	if err != nil {
		return err
	}
	return do(ctx, engine.ControlRequest{ID: id, Reason: reason, Actor: c.actor})
}
