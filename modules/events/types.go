package events

// Type names what happened. The set of types is closed: the events of the transition table and the annotation.
type Type string

// The events of a task.
const (
	TaskCreated        Type = "task_created"
	TaskMarkedReady    Type = "task_marked_ready"
	TaskClaimed        Type = "task_claimed"
	TaskResumed        Type = "task_resumed"
	TaskStarted        Type = "task_started"
	TaskDeferred       Type = "task_deferred"
	TaskCompleted      Type = "task_completed"
	TaskRetryScheduled Type = "task_retry_scheduled"
	TaskFailed         Type = "task_failed"
	TaskSkipped        Type = "task_skipped"
	TaskReset          Type = "task_reset"
	TaskAbandoned      Type = "task_abandoned"
	TaskCancelled      Type = "task_cancelled"
)

// The events of a pipeline.
const (
	PipelineStarted   Type = "pipeline_started"
	PipelineCompleted Type = "pipeline_completed"
	PipelineFailed    Type = "pipeline_failed"
	PipelinePaused    Type = "pipeline_paused"
	PipelineResumed   Type = "pipeline_resumed"
	PipelineCancelled Type = "pipeline_cancelled"
	PipelineRestarted Type = "pipeline_restarted"
)

// Annotation is the only event that is not a transition. It has no version and changes nothing.
const Annotation Type = "annotation"

// Types returns all types, in the order of the lifecycle.
func Types() []Type {
	return []Type{
		TaskCreated, TaskMarkedReady, TaskClaimed, TaskResumed, TaskStarted, TaskDeferred, TaskCompleted,
		TaskRetryScheduled,
		TaskFailed, TaskSkipped, TaskReset, TaskAbandoned, TaskCancelled,
		PipelineStarted, PipelineCompleted, PipelineFailed, PipelinePaused, PipelineResumed, PipelineCancelled,
		PipelineRestarted,
		Annotation,
	}
}
