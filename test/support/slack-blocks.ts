/**
 * The limits of Block Kit, as https://docs.slack.dev/reference/block-kit/ has them: what Slack refuses, in words. Only
 * what the product uses is known; anything else is a fault.
 */
type Json = Record<string, unknown>

const asObject = (value: unknown): Json => (typeof value === 'object' && value !== null ? (value as Json) : {})
const asList = (value: unknown): unknown[] => (Array.isArray(value) ? value : [])

export function messageFaults(blocks: unknown): string[] {
  const list = asList(blocks)
  return [
    ...(list.length > 50 ? ['more than 50 blocks'] : []),
    ...list.flatMap((block, at) => blockFaults(block, `/${at}`)),
  ]
}

export function viewFaults(view: unknown): string[] {
  const {
    type,
    title,
    submit,
    close,
    blocks,
    callback_id: callbackId = '',
    private_metadata: metadata = '',
  } = asObject(view)
  const list = asList(blocks)
  const needsSubmit = list.some((block) => asObject(block).type === 'input')
  return [
    ...(type === 'modal' ? [] : ['the view is no modal']),
    ...textFaults(title, 'title', 24, ['plain_text']),
    ...(submit === undefined ? [] : textFaults(submit, 'submit', 24, ['plain_text'])),
    ...(close === undefined ? [] : textFaults(close, 'close', 24, ['plain_text'])),
    ...(needsSubmit && submit === undefined ? ['an input needs a submit'] : []),
    ...(String(callbackId).length > 255 ? ['callback_id is too long'] : []),
    ...(String(metadata).length > 3000 ? ['private_metadata is too long'] : []),
    ...(list.length > 100 ? ['more than 100 blocks'] : []),
    ...list.flatMap((block, at) => blockFaults(block, `/${at}`, true)),
  ]
}

function blockFaults(block: unknown, at: string, isModal = false): string[] {
  const { type, text, fields, elements, element, label, hint, block_id: blockId = '' } = asObject(block)
  const common = String(blockId).length > 255 ? [`${at}: block_id is too long`] : []
  switch (type) {
    case 'header':
      return [...common, ...textFaults(text, at, 150, ['plain_text'])]
    case 'section': {
      const list = asList(fields)
      if (text === undefined && list.length === 0) return [`${at}: a section needs text or fields`]
      return [
        ...common,
        ...(text === undefined ? [] : textFaults(text, at, 3000)),
        ...(list.length > 10 ? [`${at}: more than 10 fields`] : []),
        ...list.flatMap((field, index) => textFaults(field, `${at}/fields/${index}`, 2000)),
      ]
    }
    case 'context': {
      const list = asList(elements)
      return [
        ...common,
        ...(list.length === 0 || list.length > 10 ? [`${at}: a context has 1 to 10 elements`] : []),
        ...list.flatMap((each, index) => textFaults(each, `${at}/elements/${index}`, 3000)),
      ]
    }
    case 'actions': {
      const list = asList(elements)
      const ids = list.map((each) => asObject(each).action_id)
      return [
        ...common,
        ...(list.length === 0 || list.length > 25 ? [`${at}: actions have 1 to 25 elements`] : []),
        ...(new Set(ids).size < ids.length ? [`${at}: an action_id is there twice`] : []),
        ...list.flatMap((each, index) => buttonFaults(each, `${at}/elements/${index}`)),
      ]
    }
    case 'input': {
      const { type: kind, action_id: actionId = '', max_length: longest = 1 } = asObject(element)
      return [
        ...common,
        ...(isModal ? [] : [`${at}: an input lives in a modal`]),
        ...textFaults(label, `${at}/label`, 2000, ['plain_text']),
        ...(hint === undefined ? [] : textFaults(hint, `${at}/hint`, 2000, ['plain_text'])),
        ...(kind === 'plain_text_input' ? [] : [`${at}: unknown element`]),
        ...(String(actionId).length > 255 ? [`${at}: action_id is too long`] : []),
        ...(Number(longest) > 3000 ? [`${at}: max_length is over 3000`] : []),
      ]
    }
    default:
      return [`${at}: unknown block ${String(type)}`]
  }
}

function textFaults(value: unknown, at: string, limit: number, types = ['plain_text', 'mrkdwn']): string[] {
  const { type, text, ...more } = asObject(value)
  if (!types.includes(String(type))) return [`${at}: the text is ${String(type)}`]
  const unknown = Object.keys(more).filter((key) => key !== (type === 'mrkdwn' ? 'verbatim' : 'emoji'))
  return [
    ...(typeof text !== 'string' || text.length < 1 ? [`${at}: the text is empty`] : []),
    ...(typeof text === 'string' && text.length > limit ? [`${at}: the text is over ${limit}`] : []),
    ...unknown.map((key) => `${at}: ${key} does not belong to ${String(type)}`),
  ]
}

function buttonFaults(value: unknown, at: string): string[] {
  const { type, text, action_id: actionId, value: given = '', url = '', style } = asObject(value)
  return [
    ...(type === 'button' ? [] : [`${at}: unknown element ${String(type)}`]),
    ...textFaults(text, at, 75, ['plain_text']),
    ...(typeof actionId !== 'string' || actionId === '' || actionId.length > 255 ? [`${at}: action_id`] : []),
    ...(String(given).length > 2000 ? [`${at}: value is over 2000`] : []),
    ...(String(url).length > 3000 ? [`${at}: url is over 3000`] : []),
    ...(style === undefined || style === 'primary' || style === 'danger' ? [] : [`${at}: style`]),
  ]
}

/** Every text of blocks or of a view. */
export function textsOf(value: unknown): { type: string; text: string; verbatim?: boolean }[] {
  if (Array.isArray(value)) return value.flatMap(textsOf)
  if (typeof value !== 'object' || value === null) return []
  const { type, text } = value as Json
  if ((type === 'plain_text' || type === 'mrkdwn') && typeof text === 'string')
    return [value as { type: string; text: string }]
  return Object.values(value).flatMap(textsOf)
}

/**
 * What Slack would act on in these texts: control sequences in angle brackets, whichever type the text has, and addresses
 * that it makes links of by itself.
 */
export const activeParts = (texts: readonly { type: string; text: string; verbatim?: boolean }[]): string[] =>
  texts.flatMap(({ type, text, verbatim }) => [
    ...(text.match(/<[^>]*>?/g) ?? []),
    ...(type === 'mrkdwn' && !verbatim ? (text.match(/\S+:\/\/\S+|[@#]\S+/g) ?? []) : []),
  ])
