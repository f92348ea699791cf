import { useEffect, useId, useRef } from "preact/hooks";

/** Asks before something that cannot be taken back. */
export function Confirm({
  title,
  text,
  action,
  onClose,
}: {
  readonly title: string;
  readonly text: string;
  readonly action: string;
  readonly onClose: (isSure: boolean) => void;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog
      ref={dialog}
      aria-labelledby={`${id}-title`}
      aria-describedby={`${id}-text`}
      onCancel={(event) => {
        event.preventDefault();
        onClose(false);
      }}
    >
      <h2 id={`${id}-title`}>{title}</h2>
      <p id={`${id}-text`}>{text}</p>
      <div class="buttons">
        <button type="button" onClick={() => onClose(false)}>
          Cancel
        </button>
        <button type="button" class="danger" onClick={() => onClose(true)}>
          {action}
        </button>
      </div>
    </dialog>
  );
}
