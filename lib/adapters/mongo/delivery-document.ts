import type { Delivery } from '../../ports/delivery-store.ts'

/** A delivery as MongoDB keeps it. */
export interface DeliveryDocument extends Omit<Delivery, 'id'> {
  _id: string
  /** When it was due before it had to stand back behind another of its approval; null where it did not. */
  heldFrom: number | null
  /** Since when no attempt follows one that fails; null where they do. */
  stopAt: number | null
}

export const deliveryDocumentOf = ({ id, ...delivery }: Delivery): DeliveryDocument => ({
  _id: id,
  ...delivery,
  heldFrom: null,
  stopAt: null,
})

export const deliveryOf = ({ _id, heldFrom, stopAt, ...delivery }: DeliveryDocument): Delivery => ({
  id: _id,
  ...delivery,
})
