package audit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sluiceworks/sluice/modules/seal"
)

// header returns the part of a seal that describes the execution itself.
func (x *pipeline) header() seal.Header {
	return seal.Header{
		PipelineExecutionID: x.id, PipelineName: x.name, DefinitionVersion: x.definition, Version: x.version.v,
		Previous: x.formerSeal,
	}
}

// checkSeal checks that the execution is unchanged since it was sealed. If the execution was retried after its seal,
// the next seal covers the old one. If retention has removed the events, a seal of form 1 cannot be checked.
func (p *page) checkSeal(x *pipeline, now func(invariant, found, expected string)) {
	switch {
	case x.sealed.bad || x.version.bad:
	case !x.sealed.set || x.sealed.v > x.version.v:
		now(Seal, fmt.Sprintf("a seal of version %s, and the row has version %s", x.sealed, x.version),
			"a seal of an end that has been")
	case x.sealed != x.version:
	case !x.status.terminal():
		now(Seal, fmt.Sprintf("a seal of version %s, at which it is %s", x.sealed, orNull(string(x.status))),
			"a seal is of an end")
	case x.contents != nil:
		p.run.report.SealedContents++
		p.run.report.sealedHistory(x)
		p.checkContents(x, now)
	case x.digest != nil:
		p.run.report.sealedHistory(x)
		if got := x.digest.Seal(x.header()); got != x.seal {
			now(Seal, "the seal "+short(x.seal), got+", as its events give it")
		}
	}
}

func (r *Report) sealedHistory(x *pipeline) {
	if x.digest != nil {
		r.SealedHistories++
	}
}

// checkContents compares each part with what was sealed, so that a breach names the changed part.
func (p *page) checkContents(x *pipeline, now func(invariant, found, expected string)) {
	c := x.contents
	if got := seal.Of(c.text); got != x.seal {
		now(Seal, "the seal "+short(x.seal), got+", the hash of seal_parts: one of them was changed")
	}
	if c.bad != nil {
		now(Seal, "seal_parts: "+c.bad.Error(), "the parts as docs/seal.md describes them")
		return
	}
	if was, is := c.sealed.Header, c.now.Header; was != is {
		now(Seal, "the row has "+headerText(is), headerText(was)+", as sealed")
	}
	changed := func(what, is, was string) {
		if is != was {
			now(Seal, fmt.Sprintf("the %s was changed: it is %s", what, orNull(is)), orNull(was)+", as sealed")
		}
	}
	changed("input", hashText(c.now.Input), hashText(c.sealed.Input))
	changed("idempotency key", c.now.IdempotencyKey, c.sealed.IdempotencyKey)
	changed("definition", hashText(c.now.Definition), hashText(c.sealed.Definition))
	changed("set of labels", labelsText(c.now.Labels), labelsText(c.sealed.Labels))
	if x.digest != nil {
		changed("history", hashText(x.digest.History()), hashText(c.sealed.Events))
	}
	p.checkOutputs(x)
}

// checkOutputs compares the outputs. A missing output is allowed if retention has removed outputs of the execution.
func (p *page) checkOutputs(x *pipeline) {
	c := x.contents
	was := make(map[string]string, len(c.sealed.Outputs))
	found := func(t *task, found, expected string) {
		p.report(x, t, breachAt{problem: problem{Seal, found, expected}, events: t.history.refs()})
	}
	for _, o := range c.sealed.Outputs {
		was[o.TaskExecutionID.String()] = o.Hash
		if t, ok := p.tasks[o.TaskExecutionID]; !ok || t.pipelineID != x.id {
			p.report(x, nil, breachAt{
				problem: problem{
					Seal, "the task " + o.TaskExecutionID.String() + ", whose output was sealed, does not exist",
					"each sealed task",
				},
				events: x.history.refs(),
			})
		}
	}
	for _, t := range x.tasks {
		is, sealed := c.tasks[t.id], was[t.id.String()]
		switch {
		case is == sealed:
		case is == "" && x.outputsGone.set: // removed by retention
		case is == "":
			found(t, "the output is missing, and retention has not removed it", "an output with the "+hashText(sealed)+
				", as sealed")
		case sealed == "":
			found(t, "an output with the "+hashText(is)+" was added", "none, as sealed")
		default:
			found(t, "the output was changed: it has the "+hashText(is), hashText(sealed)+", as sealed")
		}
	}
}

func hashText(sum string) string {
	if sum == "" {
		return ""
	}
	return "hash " + sum
}

func headerText(h seal.Header) string {
	return fmt.Sprintf("id %s, pipeline_name %s, definition_version %s, version %d, former_seal %s",
		h.PipelineExecutionID, short(h.PipelineName), short(h.DefinitionVersion), h.Version, orNull(h.Previous))
}

func labelsText(list []seal.Label) string {
	words := make([]string, len(list))
	for i, l := range list {
		words[i] = l.Name + "=" + l.Value
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}
